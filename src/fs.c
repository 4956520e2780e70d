/*
 * fs.c - see fs.h.
 *
 * Bytes are unread and unwritten at the same time only where one cannot seek (a terminal, a FIFO
 * opened for both): elsewhere fs_rewind precedes writing and fs_flush reading. System calls move
 * the descriptor's own position, never a copy kept here, so that a process that shares it sees what
 * it would see of stdio.
 */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALL_MOST ((size_t)1 << 30) /* bytes for one system call */
#define STEP_FIRST 4096             /* bytes to read ahead after a seek */

/* ---- modes ---- */

int fs_flags(const char *mode) {
    static const struct {
        char letter;
        int flags;
    } kinds[] = {{'r', FS_READS},
                 {'w', FS_WRITES | FS_CREATES | FS_TRUNCATES},
                 {'a', FS_WRITES | FS_CREATES | FS_APPENDS}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (*mode != kinds[i].letter)
            continue;
        bool both = *++mode == '+';
        mode += both;
        if (mode[strspn(mode, "b")])
            return -EINVAL;
        return kinds[i].flags | (both ? FS_READS | FS_WRITES : 0);
    }
    return -EINVAL;
}

static int open_flags(int flags) {
    int access = flags & FS_READS ? flags & FS_WRITES ? O_RDWR : O_RDONLY : O_WRONLY;
    return access | (flags & FS_CREATES ? O_CREAT : 0) | (flags & FS_TRUNCATES ? O_TRUNC : 0) |
           (flags & FS_APPENDS ? O_APPEND : 0) | O_CLOEXEC | O_NOCTTY;
}

/* ---- buffers ---- */

static void buffer_free(struct fs_buffer *b) {
    free(b->data);
    *b = (struct fs_buffer){0};
}

/* What is in it goes to the front, and behind it there is room for n bytes. */
static int buffer_room(struct fs_buffer *b, size_t n) {
    size_t used = b->end - b->start;
    if (used && b->start)
        memmove(b->data, b->data + b->start, used);
    b->start = 0;
    b->end = used;
    if (n <= b->room - used)
        return 0;
    if (n > PTRDIFF_MAX - used)
        return -ENOMEM;
    char *data = realloc(b->data, used + n);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->room = used + n;
    return 0;
}

int fs_reserve(struct fs *f, size_t n) {
    f->most = n < f->step ? f->step : n;
    f->step = f->step < FS_CHUNK / 2 ? f->step * 2 : FS_CHUNK;
    return buffer_room(&f->unread, f->most < FS_CHUNK ? FS_CHUNK : f->most);
}

void fs_filled(struct fs *f, size_t n) {
    f->unread.end += n;
}

void fs_trim(struct fs *f) {
    if (f->unread.room > (size_t)4 * FS_CHUNK && f->unread.start == f->unread.end)
        buffer_free(&f->unread);
    if (f->unwritten.room > (size_t)4 * FS_CHUNK && f->unwritten.start == f->unwritten.end)
        buffer_free(&f->unwritten);
}

int fs_make_room(struct fs *f, size_t n) {
    struct fs_buffer *b = &f->unwritten;
    if (n <= b->room - b->end)
        return 0;
    return buffer_room(b, n < FS_CHUNK ? FS_CHUNK : n);
}

void fs_append(struct fs *f, const char *data, size_t n) {
    if (!n)
        return;
    memcpy(f->unwritten.data + f->unwritten.end, data, n);
    f->unwritten.end += n;
}

void fs_withdraw(struct fs *f, size_t n) {
    f->unwritten.end -= n;
}

/* ---- the position ---- */

static off_t ahead(const struct fs *f) {
    return (off_t)(f->unread.end - f->unread.start);
}

static void forget_unread(struct fs *f) {
    f->unread.start = f->unread.end = 0;
}

void fs_disown(struct fs *f) {
    buffer_free(&f->unread);
    buffer_free(&f->unwritten);
}

void fs_rewind(struct fs *f) {
    if (!ahead(f) || lseek(f->fd, -ahead(f), SEEK_CUR) >= 0)
        forget_unread(f);
}

/* From the position of the file, the descriptor's may be ahead. */
static int64_t seek_now(struct fs *f, int whence, int64_t offset) {
    if (whence == SEEK_CUR && __builtin_sub_overflow(offset, ahead(f), &offset))
        return -EOVERFLOW;
    off_t at = lseek(f->fd, offset, whence);
    if (at < 0)
        return -errno;
    forget_unread(f);
    f->step = STEP_FIRST;
    return at;
}

int64_t fs_seek_near(struct fs *f, int whence, int64_t offset) {
    const struct fs_buffer *b = &f->unread;
    off_t at = lseek(f->fd, 0, SEEK_CUR);
    if (at < 0)
        return -errno;
    int64_t first = at - (int64_t)b->end, here = at - ahead(f), to;
    if (__builtin_add_overflow(whence == SEEK_CUR ? here : 0, offset, &to))
        return -EOVERFLOW;
    if (to < 0)
        return -EINVAL;
    if (to < first || to > at)
        return seek_now(f, SEEK_SET, to);
    f->unread.start = (size_t)(to - first);
    return to;
}

/* ---- what blocks ---- */

int fs_open(struct fs *f, const char *path, int flags) {
    struct stat info;
    int fd;
    do
        fd = open(path, open_flags(flags), 0666);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    f->fd = fd;
    f->flags = flags;
    f->step = FS_CHUNK;
    f->regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    if ((flags & (FS_APPENDS | FS_READS)) == FS_APPENDS)
        lseek(fd, 0, SEEK_END); /* fails where there is no position */
    return 0;
}

int fs_flush(struct fs *f) {
    struct fs_buffer *b = &f->unwritten;
    while (b->start < b->end) {
        size_t n = b->end - b->start;
        ssize_t done = write(f->fd, b->data + b->start, n < CALL_MOST ? n : CALL_MOST);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        b->start += (size_t)done;
    }
    b->start = b->end = 0;
    return 0;
}

ssize_t fs_fill(struct fs *f, size_t want) {
    const struct fs_buffer *b = &f->unread;
    size_t got = 0, room = f->most;
    int err = fs_flush(f);
    f->ended = false;
    if (err)
        return err;
    if (want > room)
        want = room;
    do {
        size_t most = room - got < CALL_MOST ? room - got : CALL_MOST;
        ssize_t n = read(f->fd, b->data + b->end + got, most);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return got ? (ssize_t)got : -errno; /* the next one tells */
        f->ended = n == 0;
        got += (size_t)n;
    } while (got < want && f->regular && !f->ended);
    return (ssize_t)got;
}

int64_t fs_seek(struct fs *f, int whence, int64_t offset) {
    int err = fs_flush(f);
    return err ? err : seek_now(f, whence, offset);
}

int64_t fs_truncate(struct fs *f, int64_t size) {
    int err = fs_flush(f);
    if (err)
        return err;
    fs_rewind(f);
    if (size < 0)
        size = lseek(f->fd, 0, SEEK_CUR);
    if (size < 0)
        return -errno;
    do
        err = ftruncate(f->fd, size);
    while (err && errno == EINTR);
    return err ? -errno : size;
}

int fs_close(struct fs *f) {
    if (f->fd < 0)
        return 0;
    int err = fs_flush(f);
    if (!err)
        fs_rewind(f); /* somebody may share the position */
    /* EINTR or not, the descriptor is gone. */
    if (close(f->fd) && !err && errno != EINTR)
        err = -errno;
    f->fd = -1;
    buffer_free(&f->unread);
    buffer_free(&f->unwritten);
    return err;
}
