/* SPDX-License-Identifier: MIT */
/*
 * Messages as they are written.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "emit.h"
#include "frame.h"
#include "json.h"

static int emit_delimited(struct out *o, const struct shmring_message *m, char delimiter)
{
	int err = out_put(o, m->data, m->len);

	return err < 0 ? err : out_copy(o, &delimiter, 1);
}

static int emit_frame(struct out *o, const struct shmring_message *m)
{
	unsigned char header[FRAME_HEADER];
	int err;

	if (m->len > UINT32_MAX)
		return -EMSGSIZE;
	frame_encode(header, (uint32_t)m->len);
	err = out_copy(o, header, sizeof(header));
	return err < 0 ? err : out_put(o, m->data, m->len);
}

struct sink {
	struct out *out;
	int err;
};

static int write_text(const char *text, size_t len, void *data)
{
	struct sink *sink = data;

	sink->err = out_copy(sink->out, text, len);
	return sink->err;
}

/* jansson makes the string; objects of its kind would take half as long again. */
static int emit_json(struct out *o, const struct shmring_consumer *c,
		     const struct shmring_message *m)
{
	char head[256], lost[96] = "", stamp[40] = "";
	uint64_t messages, bytes, ns;
	struct sink sink = { o, 0 };
	bool base64;
	json_t *data = json_bytes(m->data, m->len, &base64);
	int err, n;

	if ((m->flags & SHMRING_AFTER_LOSS) && shmring_message_lost(c, m, &messages, &bytes) == 0)
		snprintf(lost, sizeof(lost), "\"lost\":%" PRIu64 ",\"lost_bytes\":%" PRIu64 ",",
			 messages, bytes);
	if (shmring_message_stamp(c, m, &ns) == 0 && ns != 0)
		snprintf(stamp, sizeof(stamp), "\"stamp_ns\":%" PRIu64 ",", ns);
	n = snprintf(head, sizeof(head),
		     "{\"seq\":%" PRIu64 ",\"producer\":%" PRIu32 ",\"length\":%zu,%s%s\"%s\":",
		     m->seq, m->producer, m->len, stamp, lost, base64 ? "data_base64" : "data");
	err = out_copy(o, head, (size_t)n);
	if (err == 0 && json_dump_callback(data, write_text, &sink, JSON_ENCODE_ANY) != 0)
		err = sink.err ? sink.err : -ENOMEM;
	json_decref(data);
	return err < 0 ? err : out_copy(o, "}\n", 2);
}

int emit(struct out *o, enum emit_form form, const struct shmring_consumer *c,
	 const struct shmring_message *m)
{
	switch (form) {
	case EMIT_LINES:
		return emit_delimited(o, m, '\n');
	case EMIT_NULL:
		return emit_delimited(o, m, '\0');
	case EMIT_FRAMES:
		return emit_frame(o, m);
	case EMIT_JSON:
		return emit_json(o, c, m);
	default:
		return out_put(o, m->data, m->len);
	}
}
