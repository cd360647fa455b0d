/* SPDX-License-Identifier: MIT */
/*
 * What the command line may say.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"

static const char usage[] =
	"Usage: shmring-demo [options]\n"
	"Sends files of /usr/share and /usr/lib through a ring: three producers, two\n"
	"consumers, of which one is killed and resumes, and one observer.\n"
	"\n"
	"  --bytes=SIZE  send at most SIZE bytes, with suffix K, M or G (400M)\n"
	"  --ring=PATH   create the ring there (a private directory in /dev/shm);\n"
	"                broker:NAME lets the broker do it\n"
	"  --anonymous   use a ring without a name, inherited through fork\n"
	"  --quick       the same as --bytes=20M\n"
	"  --help        print this\n";

static bool parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMG";
	char *end;
	unsigned long long value;
	const char *suffix;
	unsigned shift = 0;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || text[0] == '-')
		return false;
	if (*end) {
		suffix = strchr(suffixes, *end);
		if (!suffix || end[1])
			return false;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	if (value == 0 || value > (UINT64_MAX >> shift))
		return false;
	*ret = (uint64_t)value << shift;
	return true;
}

/* Returns the exit status if the program is to end, or -1. */
int options_parse(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{ "bytes", required_argument, NULL, 'b' }, { "ring", required_argument, NULL, 'r' },
		{ "anonymous", no_argument, NULL, 'a' },   { "quick", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },	   { NULL, 0, NULL, 0 },
	};
	int c;

	*options = (struct options){ .bytes = (uint64_t)400 << 20 };
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'b':
			if (parse_size(optarg, &options->bytes))
				break;
			fprintf(stderr, "shmring-demo: --bytes: '%s' is not a size\n", optarg);
			return 2;
		case 'r':
			options->ring = optarg;
			break;
		case 'a':
			options->anonymous = true;
			break;
		case 'q':
			options->bytes = (uint64_t)20 << 20;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind == argc && !(options->ring && options->anonymous))
		return -1;
	fputs(usage, stderr);
	return 2;
}
