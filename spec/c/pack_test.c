/*
 * pack_test: every item is read as it was written, and nothing is read that is not there.
 */
#include "check.h"
#include "pack.h"

#include <errno.h>
#include <limits.h>

static struct unpack over(const struct pack *p) {
    return (struct unpack){p->data, p->data + p->size};
}

static void integers(void) {
    static const int64_t values[] = {
        0,  1,   127, 128,  255,  256,       65535,         65536,     UINT32_MAX, INT64_MAX,
        -1, -32, -33, -128, -129, INT16_MIN, INT16_MIN - 1, INT32_MIN, INT64_MIN};
    static const size_t sizes[] = {1, 1, 1, 2, 2, 3, 3, 5, 5, 9, 1, 1, 2, 2, 3, 3, 5, 5, 9};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct pack p = {0};
        struct item item;
        pack_int(&p, values[i]);
        struct unpack u = over(&p);
        CHECK("an integer takes as little as it can", p.size == sizes[i]);
        CHECK("an integer comes back", !unpack_next(&u, &item) && item.type == PACK_INT &&
                                           item.as.i == values[i] && !unpack_left(&u));
        pack_term(&p);
    }
}

static void sized(size_t size) {
    struct pack p = {0};
    struct item item;
    char *text = calloc(1, size + 1);
    pack_str(&p, text, size);
    pack_bin(&p, text, size);
    pack_ext(&p, -5, text, size);
    struct unpack u = over(&p);
    CHECK("a string comes back",
          !unpack_next(&u, &item) && item.type == PACK_STR && item.size == size);
    CHECK("bytes come back", !unpack_next(&u, &item) && item.type == PACK_BIN && item.size == size);
    CHECK("an extension comes back",
          !unpack_next(&u, &item) && item.type == PACK_EXT && item.ext == -5 && item.size == size);
    CHECK("and nothing else", unpack_next(&u, &item) == -EBADMSG);
    free(text);
    pack_term(&p);
}

static void counts(void) {
    static const size_t values[] = {0, 15, 16, 65535, 65536, UINT32_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct pack p = {0};
        struct item item;
        pack_array(&p, values[i]);
        pack_map(&p, values[i]);
        struct unpack u = over(&p);
        CHECK("an array's length comes back",
              !unpack_next(&u, &item) && item.type == PACK_ARRAY && item.as.n == values[i]);
        CHECK("a map's length comes back",
              !unpack_next(&u, &item) && item.type == PACK_MAP && item.as.n == values[i]);
        pack_term(&p);
    }
}

static void scalars(void) {
    struct pack p = {0};
    struct item item;
    pack_nil(&p);
    pack_bool(&p, true);
    pack_bool(&p, false);
    pack_float(&p, -2.5);
    struct unpack u = over(&p);
    CHECK("nil comes back", !unpack_next(&u, &item) && item.type == PACK_NIL);
    CHECK("true comes back", !unpack_next(&u, &item) && item.type == PACK_BOOL && item.as.b);
    CHECK("false comes back", !unpack_next(&u, &item) && item.type == PACK_BOOL && !item.as.b);
    CHECK("a float comes back",
          !unpack_next(&u, &item) && item.type == PACK_FLOAT && item.as.f == -2.5);
    pack_term(&p);
}

static void nested(void) {
    struct pack p = {0};
    struct item item;
    size_t ext = pack_ext_begin(&p, 7), str = pack_str_begin(&p);
    pack_raw(&p, "abc", 3);
    pack_str_end(&p, str);
    pack_int(&p, 9);
    pack_ext_end(&p, ext);
    pack_nil(&p);
    struct unpack u = over(&p);
    CHECK("an extension with items in it is one item",
          !unpack_next(&u, &item) && item.type == PACK_EXT && item.ext == 7 && item.size == 9);
    struct unpack inner = {item.data, item.data + item.size};
    CHECK("its items can be read", !unpack_next(&inner, &item) && item.type == PACK_STR &&
                                       item.size == 3 && !memcmp(item.data, "abc", 3) &&
                                       !unpack_next(&inner, &item) && item.as.i == 9);
    CHECK("and what follows it", !unpack_next(&u, &item) && item.type == PACK_NIL);
    pack_term(&p);
}

/* Every two bytes, alone and before some more: read or refused, never beyond the end. */
static void anything(void) {
    int read = 0, refused = 0;
    for (int i = 0; i < 65536; i++) {
        for (size_t size = 1; size <= 20; size += size < 3 ? 1 : 17) {
            char *bytes = calloc(1, size);
            struct item item;
            bytes[0] = (char)(i >> 8);
            if (size > 1)
                bytes[1] = (char)i;
            struct unpack u = {bytes, bytes + size};
            if (unpack_next(&u, &item))
                refused++;
            else
                read += u.at <= u.end;
            free(bytes);
        }
    }
    CHECK("whatever the bytes, they are read or refused", read + refused == 65536 * 4 && refused);
}

static void too_long(void) {
    struct pack p = {0};
    pack_array(&p, (size_t)UINT32_MAX + 1);
    CHECK("what the format cannot hold is an error", p.err == -EMSGSIZE);
    pack_int(&p, 1);
    CHECK("that stays", p.err == -EMSGSIZE && p.size == 0);
    pack_clear(&p);
    pack_int(&p, 1);
    CHECK("until it is cleared", !p.err && p.size == 1);
    pack_term(&p);
}

static void text(void) {
    CHECK("ASCII is text", pack_is_utf8("abc", 3));
    CHECK("so is nothing", pack_is_utf8("", 0));
    CHECK("so is UTF-8 of any length", pack_is_utf8("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9));
    CHECK("not when it is cut short", !pack_is_utf8("\xe2\x82", 2));
    CHECK("nor with a stray byte", !pack_is_utf8("a\x80", 2));
    CHECK("nor in a longer form than needed", !pack_is_utf8("\xc0\xaf", 2) &&
                                                  !pack_is_utf8("\xe0\x80\xaf", 3) &&
                                                  !pack_is_utf8("\xf0\x80\x80\xaf", 4));
    CHECK("nor a surrogate, nor what is beyond Unicode",
          !pack_is_utf8("\xed\xa0\x80", 3) && !pack_is_utf8("\xf4\x90\x80\x80", 4));
}

int main(void) {
    integers();
    scalars();
    static const size_t sizes[] = {0, 1, 2, 3, 4, 8, 16, 31, 32, 255, 256, 65535, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        sized(sizes[i]);
    counts();
    nested();
    anything();
    too_long();
    text();
    return check_end();
}
