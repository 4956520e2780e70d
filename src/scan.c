/*
 * scan.c - see scan.h.
 *
 * The grammar of a numeral is that of liolib.c's read_number, quirks included: what cannot become
 * one ("0x", "1e", "-") is consumed all the same.
 */
#include "scan.h"

#include <ctype.h>

struct numeral {
    const char *data;
    size_t len;
    size_t at;     /* the next byte to look at */
    int n;         /* characters of the text so far */
    bool short_of; /* came to the end of the bytes */
    bool too_long;
    char *text;
};

/* The next byte; -1: there is none. */
static int look(struct numeral *num) {
    if (num->at < num->len)
        return (unsigned char)num->data[num->at];
    num->short_of = true;
    return -1;
}

static bool take(struct numeral *num) {
    if (num->n >= SCAN_NUMERAL_MAX) {
        num->too_long = true;
        return false;
    }
    num->text[num->n++] = num->data[num->at++];
    return true;
}

static bool take_one_of(struct numeral *num, char a, char b) {
    int c = look(num);
    return c >= 0 && (c == (unsigned char)a || c == (unsigned char)b) && take(num);
}

static int take_digits(struct numeral *num, bool hex) {
    int n = 0;
    for (int c; (c = look(num)) >= 0; n++)
        if (!(hex ? isxdigit(c) : isdigit(c)) || !take(num))
            break;
    return n;
}

static void skip_space(struct numeral *num) {
    for (int c; (c = look(num)) >= 0 && isspace(c);)
        num->at++;
}

static void take_numeral(struct numeral *num, char point) {
    bool hex = false;
    int digits = 0;
    take_one_of(num, '-', '+');
    if (take_one_of(num, '0', '0')) {
        hex = take_one_of(num, 'x', 'X');
        digits = !hex;
    }
    digits += take_digits(num, hex);
    if (take_one_of(num, point, '.'))
        digits += take_digits(num, hex);
    if (digits > 0 && take_one_of(num, hex ? 'p' : 'e', hex ? 'P' : 'E')) {
        take_one_of(num, '-', '+');
        take_digits(num, false);
    }
}

ssize_t scan_numeral(const char *data, size_t len, bool end, char point,
                     char text[SCAN_NUMERAL_MAX + 1]) {
    struct numeral num = {.data = data, .len = len, .text = text};
    skip_space(&num);
    take_numeral(&num, point);
    if (num.short_of && !end)
        return SCAN_MORE;
    text[num.too_long ? 0 : num.n] = '\0';
    return (ssize_t)num.at;
}
