/*
 * MessagePack, and the numerals of streams: anything is walked through, and what is understood is
 * written again and must read the same.
 *
 * Sources: pack.c scan.c
 */
#include "fuzz.h"

#include "pack.h"
#include "scan.h"

static void write_again(struct pack *p, const struct item *item) {
    switch (item->type) {
    case PACK_NIL:
        pack_nil(p);
        break;
    case PACK_BOOL:
        pack_bool(p, item->as.b);
        break;
    case PACK_INT:
        pack_int(p, item->as.i);
        break;
    case PACK_UINT:
        break; /* never written */
    case PACK_FLOAT:
        pack_float(p, item->as.f);
        break;
    case PACK_STR:
        pack_str(p, item->data, item->size);
        break;
    case PACK_BIN:
        pack_bin(p, item->data, item->size);
        break;
    case PACK_ARRAY:
        pack_array(p, item->as.n);
        break;
    case PACK_MAP:
        pack_map(p, item->as.n);
        break;
    case PACK_EXT:
        pack_ext(p, item->ext, item->data, item->size);
        break;
    }
}

static void same(const struct item *a, const struct item *b) {
    MUST(a->type == b->type);
    if (a->type == PACK_STR || a->type == PACK_BIN || a->type == PACK_EXT)
        MUST(a->size == b->size && !memcmp(a->data, b->data, a->size));
    if (a->type == PACK_INT)
        MUST(a->as.i == b->as.i);
    if (a->type == PACK_FLOAT)
        MUST(a->as.u == b->as.u || a->as.f != a->as.f);
    if (a->type == PACK_ARRAY || a->type == PACK_MAP)
        MUST(a->as.n == b->as.n);
    if (a->type == PACK_EXT)
        MUST(a->ext == b->ext);
}

static void walk(const char *data, size_t size) {
    struct unpack u = {data, data + size};
    struct item item, again;
    while (unpack_left(&u) && unpack_next(&u, &item) == 0) {
        struct pack p = {0};
        if (item.type == PACK_STR || item.type == PACK_BIN || item.type == PACK_EXT)
            MUST(item.data >= data && item.data + item.size <= data + size);
        write_again(&p, &item);
        if (item.type != PACK_UINT && p.err == 0) {
            struct unpack v = {p.data, p.data + p.size};
            MUST(unpack_next(&v, &again) == 0 && unpack_left(&v) == 0);
            same(&item, &again);
        }
        pack_term(&p);
    }
    pack_is_utf8(data, size);
}

static void number(const char *data, size_t size) {
    char text[SCAN_NUMERAL_MAX + 1];
    for (int end = 0; end < 2; end++) {
        ssize_t n = scan_numeral(data, size, end, ',', text);
        MUST(n == SCAN_MORE || (n >= 0 && (size_t)n <= size && strlen(text) <= SCAN_NUMERAL_MAX));
        MUST(n != SCAN_MORE || !end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = malloc(size + 1);
    if (size)
        memcpy(copy, data, size);
    walk(copy, size);
    number(copy, size);
    free(copy);
    return 0;
}
