/*
 * pack.c - the format of pack.h. https://github.com/msgpack/msgpack/blob/master/spec.md
 */
#include "pack.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    M_NIL = 0xc0,
    M_FALSE = 0xc2,
    M_TRUE = 0xc3,
    M_BIN8 = 0xc4,
    M_EXT8 = 0xc7,
    M_EXT32 = 0xc9,
    M_FLOAT32 = 0xca,
    M_FLOAT64 = 0xcb,
    M_UINT8 = 0xcc,
    M_INT8 = 0xd0,
    M_FIXEXT1 = 0xd4,
    M_STR8 = 0xd9,
    M_STR32 = 0xdb,
    M_ARRAY16 = 0xdc,
    M_MAP16 = 0xde,
    M_NEGATIVE = 0xe0
};

/* ---- room ---- */

void pack_term(struct pack *p) {
    free(p->data);
    *p = (struct pack){0};
}

void pack_clear(struct pack *p) {
    p->size = 0;
    p->err = 0;
}

static bool grow(struct pack *p, size_t more) {
    size_t room = p->room ? p->room : 256;
    if (more > SIZE_MAX / 4 || p->size > SIZE_MAX / 4) {
        p->err = -ENOMEM;
        return false;
    }
    while (room - p->size < more)
        room *= 2;
    char *data = realloc(p->data, room);
    if (!data) {
        p->err = -ENOMEM;
        return false;
    }
    p->data = data;
    p->room = room;
    return true;
}

/* Where the next n bytes go; NULL after a failure. */
static inline unsigned char *add(struct pack *p, size_t n) {
    if (p->err || (p->room - p->size < n && !grow(p, n)))
        return NULL;
    unsigned char *at = (unsigned char *)p->data + p->size;
    p->size += n;
    return at;
}

/* ---- writing ---- */

static inline void store16(unsigned char *at, uint16_t v) {
    v = htobe16(v);
    memcpy(at, &v, sizeof v);
}

static inline void store32(unsigned char *at, uint32_t v) {
    v = htobe32(v);
    memcpy(at, &v, sizeof v);
}

static inline void store64(unsigned char *at, uint64_t v) {
    v = htobe64(v);
    memcpy(at, &v, sizeof v);
}

static void put8(struct pack *p, int mark, uint8_t v) {
    unsigned char *at = add(p, 2);
    if (!at)
        return;
    at[0] = (unsigned char)mark;
    at[1] = v;
}

static void put16(struct pack *p, int mark, uint16_t v) {
    unsigned char *at = add(p, 3);
    if (!at)
        return;
    at[0] = (unsigned char)mark;
    store16(at + 1, v);
}

static void put32(struct pack *p, int mark, uint32_t v) {
    unsigned char *at = add(p, 5);
    if (!at)
        return;
    at[0] = (unsigned char)mark;
    store32(at + 1, v);
}

static void put64(struct pack *p, int mark, uint64_t v) {
    unsigned char *at = add(p, 9);
    if (!at)
        return;
    at[0] = (unsigned char)mark;
    store64(at + 1, v);
}

static inline void put_mark(struct pack *p, int mark) {
    unsigned char *at = add(p, 1);
    if (at)
        *at = (unsigned char)mark;
}

void pack_raw(struct pack *p, const void *data, size_t size) {
    unsigned char *at = add(p, size);
    if (at && size)
        memcpy(at, data, size);
}

void pack_nil(struct pack *p) {
    put_mark(p, M_NIL);
}

void pack_bool(struct pack *p, bool value) {
    put_mark(p, value ? M_TRUE : M_FALSE);
}

static void put_positive(struct pack *p, uint64_t v) {
    if (v <= 0x7f)
        put_mark(p, (int)v);
    else if (v <= UINT8_MAX)
        put8(p, M_UINT8, (uint8_t)v);
    else if (v <= UINT16_MAX)
        put16(p, M_UINT8 + 1, (uint16_t)v);
    else if (v <= UINT32_MAX)
        put32(p, M_UINT8 + 2, (uint32_t)v);
    else
        put64(p, M_UINT8 + 3, v);
}

void pack_int(struct pack *p, int64_t value) {
    if (value >= 0)
        put_positive(p, (uint64_t)value);
    else if (value >= -32)
        put_mark(p, (int)(value & 0xff));
    else if (value >= INT8_MIN)
        put8(p, M_INT8, (uint8_t)value);
    else if (value >= INT16_MIN)
        put16(p, M_INT8 + 1, (uint16_t)value);
    else if (value >= INT32_MIN)
        put32(p, M_INT8 + 2, (uint32_t)value);
    else
        put64(p, M_INT8 + 3, (uint64_t)value);
}

void pack_float(struct pack *p, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put64(p, M_FLOAT64, bits);
}

/* A length behind one of three marks in a row. */
static void put_length(struct pack *p, int mark, size_t n) {
    if (n <= UINT8_MAX)
        put8(p, mark, (uint8_t)n);
    else if (n <= UINT16_MAX)
        put16(p, mark + 1, (uint16_t)n);
    else if (n <= UINT32_MAX)
        put32(p, mark + 2, (uint32_t)n);
    else if (!p->err)
        p->err = -EMSGSIZE;
}

void pack_str(struct pack *p, const char *data, size_t size) {
    if (size >= 32) {
        put_length(p, M_STR8, size);
        pack_raw(p, data, size);
        return;
    }
    unsigned char *at = add(p, size + 1);
    if (!at)
        return;
    *at = (unsigned char)(PACK_FIXSTR | size);
    memcpy(at + 1, data, size);
}

void pack_bin(struct pack *p, const char *data, size_t size) {
    put_length(p, M_BIN8, size);
    pack_raw(p, data, size);
}

/* A number of items: in the mark itself, or behind one of two marks in a row. */
static void put_count(struct pack *p, int fix, int mark, size_t n) {
    if (n < 16)
        put_mark(p, fix | (int)n);
    else if (n <= UINT16_MAX)
        put16(p, mark, (uint16_t)n);
    else if (n <= UINT32_MAX)
        put32(p, mark + 1, (uint32_t)n);
    else if (!p->err)
        p->err = -EMSGSIZE;
}

void pack_array(struct pack *p, size_t n) {
    put_count(p, PACK_FIXARRAY, M_ARRAY16, n);
}

void pack_map(struct pack *p, size_t n) {
    put_count(p, PACK_FIXMAP, M_MAP16, n);
}

/* The number of bytes that follow the first one of a sequence; -1: it is none. */
static int follow(unsigned char first) {
    if (first < 0x80)
        return 0;
    if (first >= 0xc2 && first < 0xe0)
        return 1;
    if (first >= 0xe0 && first < 0xf0)
        return 2;
    return first >= 0xf0 && first < 0xf5 ? 3 : -1;
}

/* No longer form than needed, no surrogate, nothing above U+10FFFF: all show in the second byte. */
static bool second_is_good(unsigned char first, unsigned char second) {
    switch (first) {
    case 0xe0:
        return second >= 0xa0;
    case 0xed:
        return second < 0xa0;
    case 0xf0:
        return second >= 0x90;
    case 0xf4:
        return second < 0x90;
    default:
        return true;
    }
}

bool pack_is_utf8(const char *data, size_t size) {
    const unsigned char *at = (const unsigned char *)data, *end = at + size;
    while (at < end) {
        unsigned char first = *at++;
        int n = follow(first);
        if (n < 0 || end - at < n || (n && !second_is_good(first, *at)))
            return false;
        for (; n; n--)
            if ((*at++ & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static int log2_of(size_t size) {
    for (int i = 0; i <= 4; i++)
        if (size == (size_t)1 << i)
            return i;
    return -1;
}

void pack_ext(struct pack *p, int8_t type, const char *data, size_t size) {
    int fix = log2_of(size);
    if (fix >= 0)
        put_mark(p, M_FIXEXT1 + fix);
    else
        put_length(p, M_EXT8, size);
    put_mark(p, (uint8_t)type);
    pack_raw(p, data, size);
}

size_t pack_str_begin(struct pack *p) {
    put32(p, M_STR32, 0);
    return p->size;
}

size_t pack_ext_begin(struct pack *p, int8_t type) {
    put32(p, M_EXT32, 0);
    put_mark(p, (uint8_t)type);
    return p->size;
}

/* The length stands `behind` bytes before where the content begins. */
static void end(struct pack *p, size_t begin, size_t behind) {
    if (p->err)
        return;
    size_t size = p->size - begin;
    if (size > UINT32_MAX)
        p->err = -EMSGSIZE;
    else
        store32((unsigned char *)p->data + begin - behind, (uint32_t)size);
}

void pack_str_end(struct pack *p, size_t begin) {
    end(p, begin, 4);
}

void pack_ext_end(struct pack *p, size_t begin) {
    end(p, begin, 5);
}

/* ---- reading ---- */

/* A big-endian number of n bytes, n being 1, 2, 4 or 8. */
static inline bool take(struct unpack *u, int n, uint64_t *value) {
    uint64_t v = 0;
    if (unpack_left(u) < (size_t)n)
        return false;
    memcpy((char *)&v + sizeof v - n, u->at, (size_t)n);
    *value = be64toh(v);
    u->at += n;
    return true;
}

static int content(struct unpack *u, struct item *item, enum pack_type type, uint64_t size) {
    if (unpack_left(u) < size)
        return -EBADMSG;
    item->type = type;
    item->data = u->at;
    item->size = (size_t)size;
    u->at += size;
    return 0;
}

static int sized(struct unpack *u, struct item *item, enum pack_type type, int n) {
    uint64_t size;
    return take(u, n, &size) ? content(u, item, type, size) : -EBADMSG;
}

static int extension(struct unpack *u, struct item *item, uint64_t size) {
    if (!unpack_left(u))
        return -EBADMSG;
    item->ext = (int8_t)*u->at++;
    return content(u, item, PACK_EXT, size);
}

static int counted(struct item *item, enum pack_type type, uint64_t n) {
    item->type = type;
    item->as.n = (uint32_t)n;
    return 0;
}

static int count(struct unpack *u, struct item *item, enum pack_type type, int size) {
    uint64_t n;
    return take(u, size, &n) ? counted(item, type, n) : -EBADMSG;
}

static int integer(struct item *item, int64_t value) {
    item->type = PACK_INT;
    item->as.i = value;
    return 0;
}

static int read_unsigned(struct unpack *u, struct item *item, int size) {
    uint64_t v;
    if (!take(u, size, &v))
        return -EBADMSG;
    if (v <= INT64_MAX)
        return integer(item, (int64_t)v);
    item->type = PACK_UINT;
    item->as.u = v;
    return 0;
}

static int read_signed(struct unpack *u, struct item *item, int size) {
    uint64_t v;
    if (!take(u, size, &v))
        return -EBADMSG;
    int unused = 64 - 8 * size;
    return integer(item, (int64_t)(v << unused) >> unused);
}

static int read_float(struct unpack *u, struct item *item, int size) {
    uint64_t v;
    if (!take(u, size, &v))
        return -EBADMSG;
    item->type = PACK_FLOAT;
    if (size == 8) {
        memcpy(&item->as.f, &v, sizeof v);
    } else {
        uint32_t bits = (uint32_t)v;
        float f;
        memcpy(&f, &bits, sizeof f);
        item->as.f = f;
    }
    return 0;
}

static int truth(struct item *item, bool value) {
    item->type = PACK_BOOL;
    item->as.b = value;
    return 0;
}

static int read_ext(struct unpack *u, struct item *item, int size) {
    uint64_t length;
    return take(u, size, &length) ? extension(u, item, length) : -EBADMSG;
}

/* The marks from 0xc0 on. */
static int marked(struct unpack *u, struct item *item, int mark) {
    switch (mark) {
    case M_NIL:
        item->type = PACK_NIL;
        return 0;
    case M_FALSE:
    case M_TRUE:
        return truth(item, mark == M_TRUE);
    case M_BIN8:
    case M_BIN8 + 1:
    case M_BIN8 + 2:
        return sized(u, item, PACK_BIN, 1 << (mark - M_BIN8));
    case M_EXT8:
    case M_EXT8 + 1:
    case M_EXT32:
        return read_ext(u, item, 1 << (mark - M_EXT8));
    case M_FLOAT32:
        return read_float(u, item, 4);
    case M_FLOAT64:
        return read_float(u, item, 8);
    case M_UINT8:
    case M_UINT8 + 1:
    case M_UINT8 + 2:
    case M_UINT8 + 3:
        return read_unsigned(u, item, 1 << (mark - M_UINT8));
    case M_INT8:
    case M_INT8 + 1:
    case M_INT8 + 2:
    case M_INT8 + 3:
        return read_signed(u, item, 1 << (mark - M_INT8));
    case M_FIXEXT1:
    case M_FIXEXT1 + 1:
    case M_FIXEXT1 + 2:
    case M_FIXEXT1 + 3:
    case M_FIXEXT1 + 4:
        return extension(u, item, (uint64_t)1 << (mark - M_FIXEXT1));
    case M_STR8:
    case M_STR8 + 1:
    case M_STR32:
        return sized(u, item, PACK_STR, 1 << (mark - M_STR8));
    case M_ARRAY16:
    case M_ARRAY16 + 1:
        return count(u, item, PACK_ARRAY, 2 << (mark - M_ARRAY16));
    case M_MAP16:
    case M_MAP16 + 1:
        return count(u, item, PACK_MAP, 2 << (mark - M_MAP16));
    default:
        return -EBADMSG;
    }
}

int unpack_marked(struct unpack *u, struct item *item) {
    int mark = (unsigned char)*u->at++;
    if (mark >= M_NEGATIVE)
        return integer(item, mark - 256);
    if (mark < PACK_MARKED)
        return -EBADMSG; /* a short string that is cut short */
    return marked(u, item, mark);
}
