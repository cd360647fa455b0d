/* SPDX-License-Identifier: MIT */
/*
 * foreign: see foreign.h.
 */
#include "foreign.h"

#include "harmless.h"

static size_t characters(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

size_t foreign_width(const char *text)
{
	char shown[FOREIGN_TEXT];

	text_harmless(shown, sizeof(shown), text);
	return characters(shown);
}

void print_foreign(FILE *stream, const char *text, int width)
{
	char shown[FOREIGN_TEXT];

	text_harmless(shown, sizeof(shown), text);
	fputs(shown, stream);
	for (width -= (int)characters(shown); width > 0; width--)
		fputc(' ', stream);
}

void print_column(const char *text, int width)
{
	print_foreign(stdout, text, width);
	if ((int)foreign_width(text) > width)
		printf("\n%*s", width, "");
}
