/*
 * clock.h - monotonic time, int64 nanoseconds.
 *
 * One unit in all of C; seconds as doubles exist only at the border to Lua. CLOCK_NEVER is later
 * than every time that can be reached, and conversions saturate at it.
 */
#ifndef CURIO_CLOCK_H
#define CURIO_CLOCK_H

#include <stdint.h>

#define CLOCK_NEVER INT64_MAX

int64_t clock_now(void);

/* A clock that is a few nanoseconds to read and ticks every few milliseconds; only good for telling
   that time has passed. */
int64_t clock_tick(void);

/* now + seconds; negative seconds count as 0, huge ones as CLOCK_NEVER. seconds must not be NaN. */
int64_t clock_after(int64_t now, double seconds);

double clock_seconds(int64_t ns);

#endif
