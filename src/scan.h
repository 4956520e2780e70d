/*
 * scan.h - finds in bytes what the read formats of Lua's files ask for.
 *
 * Nothing is kept between calls: what needs more bytes than there are is asked again, from its
 * beginning, when there are more. So who is interrupted meanwhile has consumed nothing.
 */
#ifndef CURIO_SCAN_H
#define CURIO_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SCAN_NUMERAL_MAX = 200 }; /* characters of a numeral, as in Lua's own library */

/* Says that more bytes are needed. */
#define SCAN_MORE ((ssize_t)-1)

/* Format "n": how many bytes, white space before it included, belong to the numeral at the start of
   data; or SCAN_MORE when it may go on behind them and `end` does not say that nothing will come.
   Like Lua's files it takes the longest prefix of a numeral, whether that is one or not:
   lua_stringtonumber tells, from the text, which is "" where the prefix was too long. `point` is
   the decimal point of the locale, which counts as well as '.'. */
ssize_t scan_numeral(const char *data, size_t len, bool end, char point,
                     char text[SCAN_NUMERAL_MAX + 1]);

#endif
