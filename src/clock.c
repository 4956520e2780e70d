/*
 * clock.c - CLOCK_MONOTONIC, as the timers, deadlines and curio.clock() see it.
 */
#include "clock.h"

#include <math.h>
#include <time.h>

#define NS_PER_S 1000000000LL

#ifdef CLOCK_MONOTONIC_COARSE
#define TICK_CLOCK CLOCK_MONOTONIC_COARSE
#else
#define TICK_CLOCK CLOCK_MONOTONIC
#endif

static int64_t clock_read(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_now(void) {
    return clock_read(CLOCK_MONOTONIC);
}

int64_t clock_tick(void) {
    return clock_read(TICK_CLOCK);
}

int64_t clock_after(int64_t now, double seconds) {
    if (seconds <= 0)
        return now;
    if (seconds >= 9.0e9) /* 285 years: past what int64 nanoseconds hold */
        return CLOCK_NEVER;
    return now + (int64_t)ceil(seconds * 1e9); /* never sooner; and any time is at least 1 ns */
}

double clock_seconds(int64_t ns) {
    return (double)ns / 1e9;
}
