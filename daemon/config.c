/* SPDX-License-Identifier: MIT */
/*
 * config: see config.h. Every reader of a setting answers true, or false after it
 * has written the one sentence about what is wrong; the first one ends it all.
 */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <libconfig.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"

/* Producers look at the lags once for each sixteenth of a lane, which is this at least. */
enum { LEAST_LAG = 4096 };

struct reader {
	const char *file;
	char *error;
	size_t size;
	struct policy *policy;
};

__attribute__((format(printf, 3, 4))) static bool wrong(struct reader *r, const config_setting_t *s,
							const char *format, ...)
{
	const char *file = config_setting_source_file(s);
	va_list args;
	int n = snprintf(r->error, r->size, "%s:%u: ", file ? file : r->file,
			 config_setting_source_line(s));

	va_start(args, format);
	if (n > 0 && (size_t)n < r->size)
		vsnprintf(r->error + n, r->size - (size_t)n, format, args);
	va_end(args);
	return false;
}

static bool out_of_memory(struct reader *r, const config_setting_t *s)
{
	return wrong(r, s, "out of memory");
}

/* All members are in the list, which ends with NULL. */
static bool are_known(struct reader *r, const config_setting_t *group, const char *const *known)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(s);
		const char *const *k = known;

		while (*k && strcmp(*k, name) != 0)
			k++;
		if (!*k)
			return wrong(r, s, "there is no setting '%s' here; see shmringd.conf(5)",
				     name);
	}
	return true;
}

/* --- values --- */

static bool read_string(struct reader *r, const config_setting_t *s, const char **ret)
{
	*ret = config_setting_get_string(s);
	return *ret || wrong(r, s, "'%s' takes a string, in quotes", config_setting_name(s));
}

static bool read_bool(struct reader *r, const config_setting_t *s, bool *ret)
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL)
		return wrong(r, s, "'%s' takes true or false", config_setting_name(s));
	*ret = config_setting_get_bool(s);
	return true;
}

/* "64 MiB"; without a unit, bytes. */
static bool parse_size(const char *text, uint64_t *ret)
{
	static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno != 0)
		return false;
	end += strspn(end, " ");
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i]) == 0) {
			unsigned shift = 10 * i;

			if (*ret > UINT64_MAX >> shift)
				return false;
			*ret <<= shift;
			return true;
		}
	return false;
}

static bool read_number(struct reader *r, const config_setting_t *s, uint64_t *ret)
{
	const char *text = config_setting_get_string(s);
	int type = config_setting_type(s);

	if (text && parse_size(text, ret))
		return true;
	if ((type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) &&
	    config_setting_get_int64(s) >= 0) {
		*ret = (uint64_t)config_setting_get_int64(s);
		return true;
	}
	return wrong(r, s,
		     "'%s' takes a number from 0, or one with a unit in quotes, as in \"64 MiB\"",
		     config_setting_name(s));
}

static bool read_number32(struct reader *r, const config_setting_t *s, uint32_t *ret)
{
	uint64_t number;

	if (!read_number(r, s, &number))
		return false;
	if (number > UINT32_MAX)
		return wrong(r, s, "'%s' is too large", config_setting_name(s));
	*ret = (uint32_t)number;
	return true;
}

/* Read one of two words: 0 or 1. */
static bool read_choice(struct reader *r, const config_setting_t *s, const char *zero,
			const char *one, uint32_t *ret)
{
	const char *text = config_setting_get_string(s);

	if (!text || (strcmp(text, zero) != 0 && strcmp(text, one) != 0))
		return wrong(r, s, "'%s' takes \"%s\" or \"%s\"", config_setting_name(s), zero,
			     one);
	*ret = strcmp(text, one) == 0;
	return true;
}

static bool read_id(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long long id = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || id >= UINT32_MAX)
		return false;
	*ret = (uint32_t)id;
	return true;
}

static bool read_user(struct reader *r, const config_setting_t *s, const char *name, uint32_t *ret)
{
	const struct passwd *user;

	if (read_id(name, ret))
		return true;
	user = getpwnam(name);
	if (!user)
		return wrong(r, s, "there is no user '%s'; groups begin with '@'", name);
	*ret = user->pw_uid;
	return true;
}

static bool read_group(struct reader *r, const config_setting_t *s, const char *name, uint32_t *ret)
{
	const struct group *group;

	if (read_id(name, ret))
		return true;
	group = getgrnam(name);
	if (!group)
		return wrong(r, s, "there is no group '%s'", name);
	*ret = group->gr_gid;
	return true;
}

/* "*", a user, or "@" and a group; names or numbers. */
static bool read_who(struct reader *r, const config_setting_t *s, struct who *ret)
{
	const char *text;

	if (!read_string(r, s, &text))
		return false;
	if (strcmp(text, "*") == 0) {
		*ret = (struct who){ .kind = WHO_ALL };
		return true;
	}
	ret->kind = text[0] == '@' ? WHO_GROUP : WHO_USER;
	return ret->kind == WHO_GROUP ? read_group(r, s, text + 1, &ret->id)
				      : read_user(r, s, text, &ret->id);
}

/* --- shapes --- */

static bool read_shape_word(struct reader *r, const config_setting_t *s, struct shmring_config *c)
{
	const char *name = config_setting_name(s);

	if (strcmp(name, "lanes") == 0)
		return read_number32(r, s, &c->lanes);
	if (strcmp(name, "lane_size") == 0)
		return read_number(r, s, &c->lane_size);
	if (strcmp(name, "alignment") == 0)
		return read_number32(r, s, &c->alignment);
	if (strcmp(name, "slow") == 0)
		return read_choice(r, s, "block", "evict", &c->slow_policy);
	if (strcmp(name, "unread") == 0)
		return read_choice(r, s, "hold", "overwrite", &c->unread_policy);
	if (strcmp(name, "evict_lag") == 0)
		return read_number(r, s, &c->evict_lag) &&
		       (c->evict_lag >= LEAST_LAG ||
			wrong(r, s, "evict_lag must be at least 4096 bytes, such as \"4 MiB\""));
	if (strcmp(name, "wake") == 0)
		return read_choice(r, s, "auto", "fence", &c->wake);
	if (strcmp(name, "stamps") == 0) {
		bool sound = read_choice(r, s, "none", "auto", &c->stamps);

		c->stamps *= SHMRING_STAMP_AUTO;
		return sound;
	}
	return true; /* not about the shape */
}

/* In milliseconds, if it is there. */
static bool read_time(struct reader *r, const config_setting_t *group, const char *name,
		      uint64_t *ret_ns)
{
	const config_setting_t *s = config_setting_get_member(group, name);
	uint32_t ms = 0;

	if (!s)
		return true;
	if (!read_number32(r, s, &ms))
		return false;
	*ret_ns = ms * UINT64_C(1000000);
	return true;
}

static bool read_shape(struct reader *r, const config_setting_t *group, struct shmring_config *c)
{
	struct geometry g;

	c->size = sizeof(*c);
	for (int i = 0; i < config_setting_length(group); i++)
		if (!read_shape_word(r, config_setting_get_elem(group, (unsigned)i), c))
			return false;
	if (!read_time(r, group, "evict_after_ms", &c->evict_after_ns) ||
	    !read_time(r, group, "evict_lag_ms", &c->evict_lag_ns) ||
	    !read_time(r, group, "max_sleep_ms", &c->max_sleep_ns))
		return false;
	return layout_plan(&g, c) == 0 || wrong(r, group, "%s", shmring_explain());
}

/* --- rules --- */

static bool read_right(struct reader *r, const config_setting_t *s, uint32_t *rights)
{
	static const struct {
		const char *word;
		uint32_t right;
	} words[] = {
		{ "create", PROTO_CREATE },	  { "produce", PROTO_PRODUCE },
		{ "consume", PROTO_CONSUME },	  { "observe", PROTO_OBSERVE },
		{ "remove", PROTO_REMOVE_RIGHT }, { "all", PROTO_RIGHTS },
	};
	const char *text = config_setting_get_string(s);

	for (unsigned i = 0; text && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i].word) == 0) {
			*rights |= words[i].right;
			return true;
		}
	return wrong(r, s,
		     "a right is one of \"create\", \"produce\", \"consume\", \"observe\", "
		     "\"remove\", \"all\"");
}

static bool read_rights(struct reader *r, const config_setting_t *s, uint32_t *rights)
{
	if (!config_setting_is_array(s) && !config_setting_is_list(s))
		return wrong(r, s, "'allow' takes a list, as in [ \"produce\", \"consume\" ]");
	for (int i = 0; i < config_setting_length(s); i++)
		if (!read_right(r, config_setting_get_elem(s, (unsigned)i), rights))
			return false;
	return true;
}

/* A mandatory member; NULL if it is missing. */
static const config_setting_t *need(struct reader *r, const config_setting_t *group,
				    const char *name)
{
	const config_setting_t *s = config_setting_get_member(group, name);

	if (!s)
		wrong(r, group, "'%s' is missing", name);
	return s;
}

/* The shape of rings on demand: a setting of another kind is refused. */
static bool read_make(struct reader *r, const config_setting_t *group, struct rule *rule)
{
	static const char *const known[] = { "lanes",	       "lane_size", "alignment",    "slow",
					     "evict_after_ms", "unread",    "max_sleep_ms", "wake",
					     "stamps",	       "evict_lag", "evict_lag_ms", NULL };
	const config_setting_t *s = config_setting_get_member(group, "make");

	if (!s)
		return true;
	if (!config_setting_is_group(s))
		return wrong(r, s, "'make' takes a shape: { lanes = 4; }, or { } for the default");
	if ((rule->rights & PROTO_CREATE) == 0)
		return wrong(r, s, "'make' needs the right \"create\"");
	rule->make = true;
	rule->shape.flags = rule->isolated ? SHMRING_ISOLATED : 0;
	return are_known(r, s, known) && read_shape(r, s, &rule->shape);
}

static bool read_rule(struct reader *r, const config_setting_t *group, size_t index)
{
	static const char *const known[] = { "who", "rings", "allow", "make", "isolated", NULL };
	const config_setting_t *isolated = config_setting_get_member(group, "isolated");
	struct rule *rule = &r->policy->rules[index];
	const config_setting_t *who, *rings, *allow;
	const char *pattern;

	if (!are_known(r, group, known) || !(who = need(r, group, "who")) ||
	    !(rings = need(r, group, "rings")) || !(allow = need(r, group, "allow")) ||
	    !read_who(r, who, &rule->who) || !read_string(r, rings, &pattern) ||
	    !read_rights(r, allow, &rule->rights) ||
	    (isolated && !read_bool(r, isolated, &rule->isolated)) || !read_make(r, group, rule))
		return false;
	rule->pattern = strdup(pattern);
	rule->line = config_setting_source_line(group);
	return rule->pattern || out_of_memory(r, group);
}

/* --- limits --- */

static bool read_limits(struct reader *r, const config_setting_t *group, size_t index)
{
	static const char *const known[] = { "who",	    "connections", "rings", "bytes",
					     "attachments", "descriptors", NULL };
	struct limit_rule *rule = &r->policy->limits[index];
	const config_setting_t *who;

	if (!are_known(r, group, known) || !(who = need(r, group, "who")) ||
	    !read_who(r, who, &rule->who))
		return false;
	rule->limits = quota_defaults;
	rule->line = config_setting_source_line(group);
	for (unsigned i = 0; i < QUOTA_RESOURCES; i++) {
		const config_setting_t *s = config_setting_get_member(group, quota_names[i]);

		if (s && !read_number(r, s, &rule->limits.most[i]))
			return false;
	}
	return true;
}

/* --- rings --- */

static bool read_ring_name(struct reader *r, const config_setting_t *s, size_t index)
{
	struct ring_wish *rings = r->policy->rings;
	const char *name;

	if (!read_string(r, s, &name))
		return false;
	if (!proto_is_name(name))
		return wrong(r, s,
			     "'%s' is not the name of a ring: 1 to 63 letters, digits, '.', '_' "
			     "or '-', no '.' first",
			     name);
	for (size_t i = 0; i < index; i++)
		if (strcmp(rings[i].name, name) == 0)
			return wrong(r, s, "the ring '%s' is already in line %u", name,
				     rings[i].line);
	strcpy(rings[index].name, name);
	return true;
}

static bool read_owner(struct reader *r, const config_setting_t *group, struct ring_wish *ring)
{
	const config_setting_t *s = config_setting_get_member(group, "owner");
	const char *text;
	uint32_t uid;

	ring->owner = r->policy->own_uid;
	if (!s)
		return true;
	if (!read_string(r, s, &text) || !read_user(r, s, text, &uid))
		return false;
	ring->owner = uid;
	return true;
}

static bool read_isolated(struct reader *r, const config_setting_t *group, struct ring_wish *ring)
{
	const config_setting_t *s = config_setting_get_member(group, "isolated");
	bool isolated = false;

	if (s && !read_bool(r, s, &isolated))
		return false;
	if (isolated && ring->persistent)
		return wrong(r, s, "an isolated ring is in memory, so it cannot be persistent");
	ring->config.flags = isolated ? SHMRING_ISOLATED : 0;
	return true;
}

static bool read_ring(struct reader *r, const config_setting_t *group, size_t index)
{
	static const char *const known[] = {
		"name",	     "owner",	     "persistent",   "lanes",
		"lane_size", "alignment",    "slow",	     "evict_after_ms",
		"unread",    "max_sleep_ms", "wake",	     "stamps",
		"isolated",  "evict_lag",    "evict_lag_ms", NULL
	};
	struct ring_wish *ring = &r->policy->rings[index];
	const config_setting_t *persistent = config_setting_get_member(group, "persistent");
	const config_setting_t *name;

	ring->line = config_setting_source_line(group);
	return are_known(r, group, known) && (name = need(r, group, "name")) &&
	       read_ring_name(r, name, index) && read_owner(r, group, ring) &&
	       (!persistent || read_bool(r, persistent, &ring->persistent)) &&
	       read_shape(r, group, &ring->config) && read_isolated(r, group, ring);
}

static bool read_metrics(struct reader *r, const config_setting_t *s, size_t index)
{
	return read_who(r, s, &r->policy->metrics[index]);
}

/* --- the file --- */

struct section {
	const char *name;
	size_t element_size;
	bool of_groups;
	size_t array, count; /* where the policy has the pointer and the number */
	bool (*read)(struct reader *r, const config_setting_t *s, size_t index);
};

static bool read_section(struct reader *r, const config_setting_t *root, const struct section *sec)
{
	const config_setting_t *list = config_setting_get_member(root, sec->name);
	size_t *count;
	void *array;
	int length;

	if (!list)
		return true;
	length = config_setting_length(list);
	if (!config_setting_is_list(list) && !(config_setting_is_array(list) && !sec->of_groups))
		return wrong(r, list, "'%s' takes a list: %s", sec->name,
			     sec->of_groups ? "( { ... }, { ... } )" : "[ \"...\", \"...\" ]");
	array = calloc((size_t)length + 1, sec->element_size);
	if (!array)
		return out_of_memory(r, list);
	memcpy((unsigned char *)r->policy + sec->array, &array, sizeof(array));
	count = (size_t *)(void *)((unsigned char *)r->policy + sec->count);
	for (int i = 0; i < length; i++) {
		const config_setting_t *s = config_setting_get_elem(list, (unsigned)i);

		if (sec->of_groups && !config_setting_is_group(s))
			return wrong(r, s, "'%s' is a list of groups: { ... }", sec->name);
		++*count; /* so that a half-read part is freed, too */
		if (!sec->read(r, s, (size_t)i))
			return false;
	}
	return true;
}

#define SECTION(name, of_groups, array, count, read)                                         \
	{                                                                                    \
		name, sizeof(*((struct policy *)0)->array), of_groups,                       \
			offsetof(struct policy, array), offsetof(struct policy, count), read \
	}

static bool read_share(struct reader *r, const config_setting_t *root)
{
	const config_setting_t *s = config_setting_get_member(root, "descriptor_share");
	uint32_t percent = 0;

	if (!s)
		return true;
	if (!read_number32(r, s, &percent))
		return false;
	if (percent < 1 || percent > 10000)
		return wrong(r, s, "'descriptor_share' takes a percentage from 1 to 10000");
	r->policy->descriptor_share = percent;
	return true;
}

static bool read_all(struct reader *r, const config_setting_t *root)
{
	static const char *const known[] = { "rules",	"limits",	    "rings",
					     "metrics", "descriptor_share", NULL };
	static const struct section sections[] = {
		SECTION("rules", true, rules, rule_count, read_rule),
		SECTION("limits", true, limits, limit_count, read_limits),
		SECTION("rings", true, rings, ring_count, read_ring),
		SECTION("metrics", false, metrics, metrics_count, read_metrics),
	};

	if (!are_known(r, root, known))
		return false;
	for (unsigned i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (!read_section(r, root, &sections[i]))
			return false;
	return read_share(r, root);
}

static int read_file(config_t *c, const char *file, char *error, size_t size)
{
	FILE *f = fopen(file, "re");
	int e = 0;

	if (!f) {
		e = -errno;
		snprintf(error, size, "%s: cannot read it: %s", file, strerror(-e));
		return e;
	}
	if (!config_read(c, f)) {
		const char *where = config_error_file(c);

		e = -EINVAL;
		snprintf(error, size, "%s:%d: %s", where ? where : file, config_error_line(c),
			 config_error_text(c));
	}
	fclose(f);
	return e;
}

int config_load(struct policy **ret, const char *file, uid_t own_uid, char *error, size_t size)
{
	struct reader r = { .file = file, .error = error, .size = size };
	config_t c;
	int e;

	config_init(&c);
	e = read_file(&c, file, error, size);
	if (e == 0) {
		r.policy = policy_new(own_uid);
		if (r.policy)
			r.policy->file = strdup(file);
		if (!r.policy || !r.policy->file) {
			e = -ENOMEM;
			snprintf(error, size, "%s: out of memory", file);
		} else if (!read_all(&r, config_root_setting(&c))) {
			e = -EINVAL;
		}
	}
	config_destroy(&c);
	if (e < 0) {
		policy_free(r.policy);
		return e;
	}
	*ret = r.policy;
	return 0;
}
