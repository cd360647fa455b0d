/* SPDX-License-Identifier: MIT */
/*
 * explain: formats into a thread-local line. stdio is kept out of the core, so
 * the three conversions it needs are spelled out here. Programs print the line to
 * terminals and logs, so all text that is put in is made harmless first.
 */
#include "explain.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <shmring/shmring.h>

#include "harmless.h"

static _Thread_local char line[EXPLAIN_SIZE] = "no call has failed";
static _Thread_local size_t used;

static void put(const char *text)
{
	used += text_harmless(line + used, EXPLAIN_SIZE - used, text);
}

static void put_number(uint64_t number)
{
	char digits[21];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	put(p);
}

static void put_error(int error)
{
	const char *words = strerrordesc_np(error < 0 ? -error : error);

	put(words ? words : "unknown error");
}

int shmr_explain(int error, const char *format, ...)
{
	va_list args;

	used = 0;
	va_start(args, format);
	for (const char *p = format; *p != '\0'; p++) {
		const char one[2] = { *p, '\0' };

		if (*p != '%')
			put(one);
		else if (*++p == 's')
			put(va_arg(args, const char *));
		else if (*p == 'u')
			put_number(va_arg(args, uint64_t));
		else if (*p == 'e')
			put_error(va_arg(args, int));
	}
	va_end(args);
	return error;
}

int shmr_explain_about(int error, const char *name)
{
	char sentence[EXPLAIN_SIZE];

	memcpy(sentence, line, sizeof(sentence));
	return shmr_explain(error, "%s: %s", name, sentence);
}

void shmr_explain_keep(char ret[EXPLAIN_SIZE])
{
	memcpy(ret, line, EXPLAIN_SIZE);
}

void shmr_explain_put_back(const char kept[EXPLAIN_SIZE])
{
	memcpy(line, kept, EXPLAIN_SIZE);
	used = strlen(line);
}

const char *shmring_explain(void)
{
	return line;
}
