/* SPDX-License-Identifier: MIT */
/*
 * label: see label.h.
 */
#include "label.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "layout.h"

void label_write_uuid(const uint8_t uuid[16], char ret[LABEL_UUID_SIZE])
{
	for (unsigned i = 0; i < 16; i++)
		snprintf(ret + 2 * i, 3, "%02x", uuid[i]);
}

void label_write_ring(const char *name, uid_t owner, char ret[LABEL_SIZE])
{
	snprintf(ret, LABEL_SIZE, "ring+%u+%s", (unsigned)owner, name);
}

void label_write_lane(const uint8_t uuid[16], unsigned lane, uid_t uid, uint32_t file_number,
		      char ret[LABEL_SIZE])
{
	char digits[LABEL_UUID_SIZE];

	label_write_uuid(uuid, digits);
	snprintf(ret, LABEL_SIZE, "lane+%s+%u+%u+%" PRIu32, digits, lane, (unsigned)uid,
		 file_number);
}

bool label_from_link(const char *target, char ret[LABEL_SIZE])
{
	static const char before[] = "/memfd:", after[] = " (deleted)";
	size_t length = strlen(target);

	if (length < sizeof(before) + sizeof(after) - 2 ||
	    strncmp(target, before, sizeof(before) - 1) != 0 ||
	    strcmp(target + length - (sizeof(after) - 1), after) != 0)
		return false;
	length -= sizeof(before) + sizeof(after) - 2;
	if (length >= LABEL_SIZE)
		return false;
	memcpy(ret, target + sizeof(before) - 1, length);
	ret[length] = '\0';
	return true;
}

bool label_parse(const char *text, struct label *ret)
{
	unsigned uid;
	int end = 0;

	*ret = (struct label){ 0 };
	if (sscanf(text, "ring+%u+%63[A-Za-z0-9._-]%n", &uid, ret->name, &end) == 2 &&
	    text[end] == '\0') {
		ret->uid = uid;
		return proto_is_name(ret->name);
	}
	end = 0;
	ret->of_lane = true;
	if (sscanf(text, "lane+%32[0-9a-f]+%u+%u+%" SCNu32 "%n", ret->uuid, &ret->lane, &uid,
		   &ret->file_number, &end) != 4)
		return false;
	ret->uid = uid;
	return text[end] == '\0' && ret->lane < LAYOUT_LANES;
}
