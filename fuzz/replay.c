/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target on files, with any compiler: the corpus is always replayed,
 * also where there is no libFuzzer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "use.h"

enum { LARGEST = 1 << 20, SECONDS = 20 };

int main(int argc, char **argv)
{
	static unsigned char bytes[LARGEST];

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		size_t size;

		if (!f) {
			perror(argv[i]);
			return 2;
		}
		size = fread(bytes, 1, sizeof(bytes), f);
		fclose(f);
		alarm(SECONDS);
		LLVMFuzzerTestOneInput(bytes, size);
	}
	printf("%d inputs\n", argc - 1);
	return argc > 1 ? 0 : 2;
}
