/*
 * Unit tests of scan.c: how far a numeral goes, and when more bytes are needed to tell.
 */
#include "scan.h"

#include "check.h"

static char text[SCAN_NUMERAL_MAX + 1];

static ssize_t scan(const char *data, bool end) {
    memset(text, '?', sizeof text);
    return scan_numeral(data, strlen(data), end, '.', text);
}

static bool is(const char *data, ssize_t taken, const char *expected) {
    return scan(data, true) == taken && !strcmp(text, expected);
}

static void test_prefixes(void) {
    CHECK("an integer ends before what follows", is("12 34", 2, "12"));
    CHECK("white space before it is consumed", is(" \t\n-7x", 5, "-7"));
    CHECK("a fraction and an exponent belong to it", is("+1.5e-3z", 7, "+1.5e-3"));
    CHECK("hexadecimal digits, fraction and exponent", is("0xA.8p+4g", 8, "0xA.8p+4"));
    CHECK("no digits, no exponent", is(".e5", 1, "."));
    CHECK("what cannot become a numeral is consumed", is("0xg", 2, "0x"));
    CHECK("an exponent without digits too", is("1e+ ", 3, "1e+"));
    CHECK("nothing is taken of another word", is("nan", 0, ""));
    CHECK("white space alone", is("   ", 3, ""));
    CHECK("nothing", is("", 0, ""));
    CHECK("a zero is a digit of a decimal", is("0e1", 3, "0e1"));
    CHECK("a second point is not its own", is("1.2.3", 3, "1.2"));
}

static void test_more(void) {
    CHECK("a numeral may go on", scan("12", false) == SCAN_MORE);
    CHECK("white space as well", scan("  ", false) == SCAN_MORE);
    CHECK("not behind another character", scan("12,", false) == 2);
    CHECK("nor when nothing will come", scan("12", true) == 2);
}

static void test_long(void) {
    char digits[SCAN_NUMERAL_MAX + 60];
    memset(digits, '1', sizeof digits);
    digits[sizeof digits - 1] = '\0';
    CHECK("one too long is cut off and refused", is(digits, SCAN_NUMERAL_MAX, ""));
    digits[SCAN_NUMERAL_MAX] = '\0';
    CHECK("the longest", scan(digits, true) == SCAN_NUMERAL_MAX && !strcmp(text, digits));
}

static void test_point(void) {
    CHECK("the locale's decimal point counts", scan_numeral("1,5 ", 4, true, ',', text) == 3);
    CHECK("beside the plain one", scan_numeral("1.5 ", 4, true, ',', text) == 3);
}

int main(void) {
    test_prefixes();
    test_more();
    test_long();
    test_point();
    return check_end();
}
