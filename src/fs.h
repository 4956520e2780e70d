/*
 * fs.h - a file with buffers, as stdio has them.
 *
 * There is one position, at which reads and writes go on, whatever stands in the buffers: the
 * descriptor's own is ahead of it by what has been read ahead, or behind by what is not yet written
 * out. What says "blocks" is for a thread of the pool, the rest for the thread that owns the file;
 * while the one is at work, the other may only consume (fs_unread, fs_consume).
 */
#ifndef CURIO_FS_H
#define CURIO_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FS_READS = 1, FS_WRITES = 2, FS_APPENDS = 4, FS_CREATES = 8, FS_TRUNCATES = 16 };

enum { FS_CHUNK = 64 * 1024 }; /* bytes read ahead, and kept before they are written out */

struct fs_buffer {
    char *data;
    size_t room;
    size_t start; /* what is in it: from here */
    size_t end;
};

struct fs {
    int fd; /* -1: closed */
    int flags;
    bool regular; /* reading it never waits for somebody to write */
    bool ended;   /* the last fs_fill came to the end of the file */
    size_t step;  /* bytes to read ahead next: few after a seek, then twice as many each time */
    size_t most;  /* bytes for the next fs_fill, set by fs_reserve */
    struct fs_buffer unread;
    struct fs_buffer unwritten;
};

/* The flags for a mode of io.open, or -EINVAL. */
int fs_flags(const char *mode);

/* ---- blocks ---- */

/* Into a closed one. */
int fs_open(struct fs *f, const char *path, int flags);

/* Reads into the room that fs_reserve made, until there are `want` bytes more or no further ones at
   once; writes out first. The number of bytes, for fs_filled, 0: the file ends. */
ssize_t fs_fill(struct fs *f, size_t want);

/* Writes out. What could not be written stays. */
int fs_flush(struct fs *f);

/* The new position. Writes out first; forgets what has been read ahead. */
int64_t fs_seek(struct fs *f, int whence, int64_t offset);

/* Sets the length, to the position if size < 0; the new length. */
int64_t fs_truncate(struct fs *f, int64_t size);

/* Writes out, closes whatever comes of that. Also frees the buffers. */
int fs_close(struct fs *f);

/* ---- does not block ---- */

/* The bytes read ahead. */
static inline size_t fs_unread(const struct fs *f, const char **data) {
    *data = f->unread.data + f->unread.start;
    return f->unread.end - f->unread.start;
}

static inline void fs_consume(struct fs *f, size_t n) {
    f->unread.start += n;
}

static inline size_t fs_unwritten(const struct fs *f) {
    return f->unwritten.end - f->unwritten.start;
}

/* Makes room to read n bytes more. 0 or -ENOMEM. */
int fs_reserve(struct fs *f, size_t n);

/* n bytes have been read into it. */
void fs_filled(struct fs *f, size_t n);

/* Gives back memory that only a large read has needed. */
void fs_trim(struct fs *f);

/* To be written; room first, then any number of pieces that fit. 0 or -ENOMEM. */
int fs_make_room(struct fs *f, size_t n);
void fs_append(struct fs *f, const char *data, size_t n);

/* Takes back the last n bytes to be written. */
void fs_withdraw(struct fs *f, size_t n);

/* Forgets all that is in the buffers: it is another process's. */
void fs_disown(struct fs *f);

/* Puts the descriptor's position where the file's is, and forgets what was read ahead; nothing of
   this where one cannot seek. */
void fs_rewind(struct fs *f);

/* Seeks from the start or from here (SEEK_SET, SEEK_CUR) while nothing is unwritten, if possible
   within what has been read ahead. The new position or a negative errno. */
int64_t fs_seek_near(struct fs *f, int whence, int64_t offset);

#endif
