/*
 * buffer.h - bytes that have arrived and have not been taken: a queue in one piece of memory.
 *
 * What arrives is put at the end, what is taken goes from the front; in between it is one piece, so
 * that it can be searched and handed out without being put together. An empty buffer holds no
 * memory: of ten thousand streams few have anything in theirs. So it is one pointer, and the rest
 * stands before the bytes.
 */
#ifndef CURIO_BUFFER_H
#define CURIO_BUFFER_H

#include <stddef.h>
#include <sys/types.h>

struct buffer_block {
    size_t room;
    size_t from; /* of the first byte; from <= to <= room */
    size_t to;
    char bytes[];
};

struct buffer {
    struct buffer_block *block; /* NULL: nothing in it */
};

static inline size_t buffer_size(const struct buffer *b) {
    return b->block ? b->block->to - b->block->from : 0;
}

/* The first byte; not NULL only while there is one. */
static inline const char *buffer_bytes(const struct buffer *b) {
    return b->block ? b->block->bytes + b->block->from : NULL;
}

/* Where n more bytes can be put, which buffer_fill then counts; NULL: no memory. */
char *buffer_reserve(struct buffer *b, size_t n);
void buffer_fill(struct buffer *b, size_t n);

/* 0 or -ENOMEM. */
int buffer_append(struct buffer *b, const char *bytes, size_t n);

/* Puts bytes before the first one. 0 or -ENOMEM. */
int buffer_prepend(struct buffer *b, const char *bytes, size_t n);

/* Takes n bytes from the front; there are as many. */
void buffer_drop(struct buffer *b, size_t n);

/* Gives back memory that is far more than what is in it. To be called when it may stay so for long.
 */
void buffer_shrink(struct buffer *b);

void buffer_free(struct buffer *b);

/* Looks for len bytes from offset `start` on: their offset, or -1. len > 0. */
ssize_t buffer_find(const struct buffer *b, size_t start, const char *what, size_t len);

#endif
