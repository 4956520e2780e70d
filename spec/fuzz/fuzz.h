/*
 * fuzz.h: what the harnesses share. Each is a plain C parser under libFuzzer, with AddressSanitizer
 * and UBSan; "make fuzz" builds and runs them. The line "Sources:" in the head of a harness names
 * the files of src/ that it is linked with.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What has to hold whatever the input. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "not so: %s (%s:%d)\n", #condition, __FILE__, __LINE__);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
