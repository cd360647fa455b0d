/* SPDX-License-Identifier: MIT */
/*
 * harmless: see harmless.h.
 */
#include "harmless.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Code points that are not shown as they are. */
static const struct range {
	uint32_t first;
	uint32_t last;
} unseen[] = {
	{ 0x0000, 0x001f },    /* controls, escape and newline among them */
	{ 0x007f, 0x009f },    /* delete, and the controls of eight bits */
	{ 0x00ad, 0x00ad },    /* soft hyphen */
	{ 0x034f, 0x034f },    /* joiner of graphemes */
	{ 0x061c, 0x061c },    /* mark of direction */
	{ 0x115f, 0x1160 },    /* fillers */
	{ 0x17b4, 0x17b5 },    /* invisible vowels */
	{ 0x180b, 0x180f },    /* selectors of variants, a separator */
	{ 0x200b, 0x200f },    /* no width, joiners, marks of direction */
	{ 0x2028, 0x202e },    /* line and paragraph separators, embeddings, overrides */
	{ 0x2060, 0x206f },    /* word joiner, isolates */
	{ 0x3164, 0x3164 },    /* filler */
	{ 0xd800, 0xdfff },    /* surrogates */
	{ 0xfdd0, 0xfdef },    /* no characters */
	{ 0xfe00, 0xfe0f },    /* selectors of variants */
	{ 0xfeff, 0xfeff },    /* mark of byte order */
	{ 0xffa0, 0xffa0 },    /* filler */
	{ 0xfff0, 0xffff },    /* marks of annotations; no characters */
	{ 0x1bca0, 0x1bca3 },  /* controls of shorthand */
	{ 0x1d173, 0x1d17a },  /* controls of musical notation */
	{ 0xe0000, 0x10ffff }, /* tags, selectors; private use */
};

static bool is_seen(uint32_t c)
{
	for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++)
		if (c >= unseen[i].first && c <= unseen[i].last)
			return false;
	return true;
}

/* The bytes of the character that `text` begins with; 0 if they are no UTF-8. */
static size_t decode(const unsigned char *text, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = text[0] < 0x80	 ? 1
			: text[0] < 0xc0 ? 0
			: text[0] < 0xe0 ? 2
			: text[0] < 0xf0 ? 3
			: text[0] < 0xf8 ? 4
					 : 0;

	*ret = length == 1 ? text[0] : text[0] & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*ret = *ret << 6 | (text[i] & 0x3f);
	}
	return length > 1 && *ret < least[length] ? 0 : length;
}

size_t text_harmless(char *ret, size_t size, const char *text)
{
	size_t used = 0;

	while (*text != '\0') {
		uint32_t c;
		size_t length = decode((const unsigned char *)text, &c);
		bool seen = length > 0 && is_seen(c);

		if (used + (seen ? length : 1) >= size)
			break;
		if (seen)
			memmove(ret + used, text, length);
		else
			ret[used] = '?';
		used += seen ? length : 1;
		text += length > 0 ? length : 1;
	}
	ret[used] = '\0';
	return used;
}
