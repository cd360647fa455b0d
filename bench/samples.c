/* SPDX-License-Identifier: MIT */
/*
 * Statistics: quantiles of the samples within a row, median and range over the
 * rows of a cell, and ratios of two cells taken round by round.
 */
#include <stdlib.h>

#include "bench.h"

void samples_add(struct samples *s, double value)
{
	if (s->count == s->room) {
		size_t room = s->room ? s->room * 2 : 4096;
		double *grown = realloc(s->value, room * sizeof(*grown));

		if (!grown)
			return; /* the samples there are will do */
		s->value = grown;
		s->room = room;
	}
	s->value[s->count++] = value;
}

static int compare(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

double samples_quantile(struct samples *s, double q)
{
	size_t at;

	if (s->count == 0)
		return 0;
	qsort(s->value, s->count, sizeof(*s->value), compare);
	at = (size_t)(q * (double)s->count);
	if (q == 0.5 && s->count % 2 == 0)
		return (s->value[at - 1] + s->value[at]) / 2;
	return s->value[at < s->count ? at : s->count - 1];
}

void samples_free(struct samples *s)
{
	free(s->value);
	*s = (struct samples){ 0 };
}

struct spread spread_make(struct samples *s)
{
	struct spread spread = { .n = (int)s->count };

	if (s->count > 0) {
		spread.median = samples_quantile(s, 0.5);
		spread.min = s->value[0];
		spread.max = s->value[s->count - 1];
	}
	samples_free(s);
	return spread;
}

/* Costs of one process do not depend on where the other processor is. */
static bool counts(const struct plan *plan, const struct cell *cell, const struct row *row)
{
	return row->kept && (cell->kind == SOLO || row->before.class == plan->class);
}

struct spread spread_of(const struct plan *plan, const struct cell *cell)
{
	struct samples s = { 0 };
	int i;

	for (i = 0; cell && i < cell->rows; i++)
		if (counts(plan, cell, &cell->row[i]))
			samples_add(&s, cell->row[i].value);
	return spread_make(&s);
}

/* Of the medians where no round has both. */
struct spread spread_ratio(const struct plan *plan, const struct cell *a, const struct cell *b)
{
	struct spread above = spread_of(plan, a), below = spread_of(plan, b);
	struct samples s = { 0 };
	int i, k;

	for (i = 0; above.n && i < a->rows; i++)
		for (k = 0; below.n && k < b->rows; k++)
			if (a->row[i].round == b->row[k].round && b->row[k].value > 0 &&
			    counts(plan, a, &a->row[i]) && counts(plan, b, &b->row[k]))
				samples_add(&s, a->row[i].value / b->row[k].value);
	if (s.count == 0 && above.n && below.median > 0)
		samples_add(&s, above.median / below.median);
	return spread_make(&s);
}
