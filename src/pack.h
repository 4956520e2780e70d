/*
 * pack.h - MessagePack, written and read one item at a time.
 *
 * Plain C that knows no Lua values: `struct pack` is a growing block to write into, `struct unpack`
 * a walk over one. Writing never reports each failure: the first one stays in `err`, and whoever
 * has written everything asks once. Reading checks every length against what is there and never
 * looks beyond; it allocates nothing and does not recurse.
 *
 * An extension may hold further items (PACK_EXT with pack_ext_begin): for others it is one opaque
 * item.
 */
#ifndef CURIO_PACK_H
#define CURIO_PACK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack {
    char *data; /* malloc'ed; NULL as long as room is 0 */
    size_t size;
    size_t room;
    int err; /* 0, -ENOMEM, or -EMSGSIZE: a length that the format cannot hold */
};

/* All zero is an empty one. */
void pack_term(struct pack *p);
void pack_clear(struct pack *p);

void pack_nil(struct pack *p);
void pack_bool(struct pack *p, bool value);
void pack_int(struct pack *p, int64_t value);
void pack_float(struct pack *p, double value);
void pack_str(struct pack *p, const char *data, size_t size);
void pack_bin(struct pack *p, const char *data, size_t size);
void pack_array(struct pack *p, size_t n);
void pack_map(struct pack *p, size_t n);
void pack_ext(struct pack *p, int8_t type, const char *data, size_t size);

/* Is it text, in UTF-8? Then it may be a str, else a bin. */
bool pack_is_utf8(const char *data, size_t size);

/* Bytes that are no item by themselves. */
void pack_raw(struct pack *p, const void *data, size_t size);

/* A string, or an extension, of which the length is known later: what is written between the two
   calls belongs to it. `begin` returns what `end` has to be told. */
size_t pack_str_begin(struct pack *p);
size_t pack_ext_begin(struct pack *p, int8_t type);
void pack_str_end(struct pack *p, size_t begin);
void pack_ext_end(struct pack *p, size_t begin);

enum pack_type {
    PACK_NIL,
    PACK_BOOL,
    PACK_INT,
    PACK_UINT, /* only those that PACK_INT cannot hold */
    PACK_FLOAT,
    PACK_STR,
    PACK_BIN,
    PACK_ARRAY, /* n items follow */
    PACK_MAP,   /* 2n items follow */
    PACK_EXT
};

struct item {
    enum pack_type type;
    int8_t ext; /* the type of an extension */
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double f;
        uint32_t n;
    } as;
    const char *data; /* of a string or an extension; points into what is read */
    size_t size;
};

struct unpack {
    const char *at;
    const char *end;
};

/* First bytes, from which on such an item begins. */
enum { PACK_FIXMAP = 0x80, PACK_FIXARRAY = 0x90, PACK_FIXSTR = 0xa0, PACK_MARKED = 0xc0 };

static inline size_t unpack_left(const struct unpack *u) {
    return (size_t)(u->end - u->at);
}

/* unpack_next, when the first byte says more than a small number or length. */
int unpack_marked(struct unpack *u, struct item *item);

/* Reads the next item. 0, or -EBADMSG: cut short, or no MessagePack; `at` is then undefined. Of an
   extension the content has been skipped; who wants the items in it sets `at` back to item->data.
   Inline, as most items are of one byte or a short string. */
static inline int unpack_next(struct unpack *u, struct item *item) {
    if (u->at >= u->end)
        return -EBADMSG;
    int mark = (unsigned char)*u->at++;
    if (mark < PACK_FIXMAP) {
        item->type = PACK_INT;
        item->as.i = mark;
    } else if (mark < PACK_FIXSTR) {
        item->type = mark < PACK_FIXARRAY ? PACK_MAP : PACK_ARRAY;
        item->as.n = (uint32_t)(mark & 15);
    } else if (mark < PACK_MARKED && unpack_left(u) >= (size_t)(mark & 31)) {
        item->type = PACK_STR;
        item->data = u->at;
        item->size = (size_t)(mark & 31);
        u->at += item->size;
    } else {
        u->at--;
        return unpack_marked(u, item);
    }
    return 0;
}

#endif
