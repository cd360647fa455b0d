/* SPDX-License-Identifier: MIT */
/*
 * Samples in the text format of Prometheus: cut up in place.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "samples.h"

enum { PIECE = 65536 };

static char *read_all(int fd, int *ret_error)
{
	char *text = NULL, *grown;
	size_t used = 0;
	ssize_t n;

	for (;;) {
		grown = realloc(text, used + PIECE + 1);
		n = grown ? read(fd, grown + used, PIECE) : -1;
		if (n <= 0)
			break;
		text = grown;
		used += (size_t)n;
	}
	*ret_error = !grown ? -ENOMEM : n < 0 ? -errno : 0;
	if (*ret_error) {
		free(grown ? grown : text);
		return NULL;
	}
	grown[used] = '\0';
	return grown;
}

/* What stands before one of `ends`, which is overwritten; *p goes behind that. */
static char *cut(char **p, const char *ends, char *ret_end)
{
	char *word = *p;
	size_t length = strcspn(word, ends);

	*ret_end = word[length];
	if (length == 0 || word[length] == '\0')
		return NULL;
	word[length] = '\0';
	*p = word + length + 1;
	return word;
}

/* What stands in quotes, until the closing one; *p goes behind that. */
static char *unquote(char **p)
{
	char *word = *p + 1, *to = word, *from = word;

	if (**p != '"')
		return NULL;
	for (; *from && *from != '"'; from++) {
		if (*from == '\\' && from[1])
			from++;
		*to++ = *from;
	}
	if (*from != '"')
		return NULL;
	*to = '\0';
	*p = from + 1;
	return word;
}

static bool parse_labels(struct sample *s, char **p)
{
	char end;

	while (**p != '}') {
		size_t i = s->label_count;

		if (i == SAMPLE_LABELS || !(s->keys[i] = cut(p, "=", &end)) ||
		    !(s->values[i] = unquote(p)))
			return false;
		s->label_count++;
		if (**p == ',')
			++*p;
		else if (**p != '}')
			return false;
	}
	++*p;
	return *(*p)++ == ' ';
}

static bool parse_line(struct sample *s, char *line)
{
	char end;

	memset(s, 0, sizeof(*s));
	s->metric = cut(&line, " {", &end);
	if (!s->metric || (end == '{' && !parse_labels(s, &line)))
		return false;
	s->value = line;
	line[strcspn(line, " ")] = '\0'; /* a time may follow */
	strtod(s->value, &line);
	return line != s->value && *line == '\0';
}

static size_t count_lines(const char *text)
{
	size_t count = 1;

	while ((text = strchr(text, '\n'))) {
		text++;
		count++;
	}
	return count;
}

int samples_read(struct samples *ret, int fd)
{
	struct samples s = { 0 };
	char *line, *next;
	int err;

	s.text = read_all(fd, &err);
	if (!s.text)
		return err;
	s.all = calloc(count_lines(s.text), sizeof(*s.all));
	if (!s.all)
		err = -ENOMEM;
	for (line = s.text; err == 0 && *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (*line && *line != '#' && !parse_line(&s.all[s.count++], line))
			err = -EBADMSG;
	}
	if (err)
		samples_free(&s);
	else
		*ret = s;
	return err;
}

void samples_free(struct samples *s)
{
	free(s->all);
	free(s->text);
}
