/* SPDX-License-Identifier: MIT */
/*
 * Which files each producer sends: the regular files under /usr/share and
 * /usr/lib that can be read, in order of their names, until the next one would
 * pass the limit. /usr/share gets half of it, so that both small and big files
 * take part, and none is bigger than an eighth of it. Each file is dealt to the
 * producer that has least to send so far; a producer sends its files in the
 * order of the list.
 */
#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demo.h"

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Room for one more: the array doubles when its count is a power of two. */
static struct file *new_entry(struct file_list *list)
{
	struct file *grown;

	if ((list->count & (list->count - 1)) == 0) {
		size_t room = list->count ? 2 * (size_t)list->count : 1;

		grown = realloc(list->file, room * sizeof(*grown));
		if (!grown)
			return NULL;
		list->file = grown;
	}
	return &list->file[list->count];
}

static int add_file(struct file_list *list, const char *path, const struct stat *st)
{
	struct file *file = new_entry(list);
	char *copy = strdup(path);

	if (!file || !copy) {
		free(copy);
		return -ENOMEM;
	}
	*file = (struct file){
		.path = copy,
		.size = (uint64_t)st->st_size,
		.device = st->st_dev,
		.inode = st->st_ino,
		.modified = st->st_mtim,
	};
	list->count++;
	list->bytes += file->size;
	return 0;
}

static bool wanted(const FTSENT *entry, uint64_t largest)
{
	return entry->fts_info == FTS_F && S_ISREG(entry->fts_statp->st_mode) &&
	       (uint64_t)entry->fts_statp->st_size <= largest && entry->fts_pathlen < PATH_MAX &&
	       access(entry->fts_path, R_OK) == 0;
}

/* Add files until there are `limit` bytes in the list. */
static int add_tree(struct file_list *list, const char *root, uint64_t limit, uint64_t largest)
{
	char *roots[] = { strdupa(root), NULL };
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, by_name);
	FTSENT *entry;
	int r = 0;

	if (!walk)
		return -errno;
	while (r == 0 && (entry = fts_read(walk))) {
		if (!wanted(entry, largest))
			continue;
		if ((uint64_t)entry->fts_statp->st_size > limit - list->bytes)
			break;
		r = add_file(list, entry->fts_path, entry->fts_statp);
	}
	fts_close(walk);
	return r;
}

static void deal(struct file_list *list)
{
	uint64_t load[PRODUCERS] = { 0 };

	for (uint32_t i = 0; i < list->count; i++) {
		unsigned least = 0;

		for (unsigned p = 1; p < PRODUCERS; p++)
			if (load[p] < load[least])
				least = p;
		list->file[i].producer = least;
		/* What a file costs beyond its bytes is about that of a block. */
		load[least] += list->file[i].size + BLOCK_SIZE;
	}
}

int files_choose(struct file_list *list, uint64_t limit)
{
	int r;

	*list = (struct file_list){ 0 };
	r = add_tree(list, "/usr/share", limit / 2, limit / 8);
	if (r == 0)
		r = add_tree(list, "/usr/lib", limit, limit / 8);
	if (r == 0 && list->count == 0)
		r = -ENOENT;
	if (r < 0) {
		errno = -r;
		files_free(list);
		return system_error("shmring-demo", "cannot list files of /usr/share and /usr/lib");
	}
	deal(list);
	return 0;
}

/* Is the file still what it was when it was listed? */
bool files_unchanged(const struct file *file)
{
	struct stat st;

	return lstat(file->path, &st) == 0 && st.st_dev == file->device &&
	       st.st_ino == file->inode && (uint64_t)st.st_size == file->size &&
	       st.st_mtim.tv_sec == file->modified.tv_sec &&
	       st.st_mtim.tv_nsec == file->modified.tv_nsec;
}

/* How many messages that will be: an empty file takes one, too. */
uint64_t files_blocks(const struct file_list *list)
{
	uint64_t blocks = 0;

	for (uint32_t i = 0; i < list->count; i++)
		blocks += list->file[i].size ? (list->file[i].size - 1) / BLOCK_SIZE + 1 : 1;
	return blocks;
}

void files_free(struct file_list *list)
{
	for (uint32_t i = 0; i < list->count; i++)
		free(list->file[i].path);
	free(list->file);
	*list = (struct file_list){ 0 };
}
