/*
 * ossl: see ossl.h.
 */
#include "ossl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

struct ossl ossl;

static char missing[256] = "OpenSSL has not been looked for";
static bool loaded;

#ifdef __APPLE__
static const char *const libraries[] = {"libssl.3.dylib"};
#else
static const char *const libraries[] = {"libssl.so.3", "libssl.so"};
#endif

/* In the order of the table's entries, which are pointers and nothing else. */
#define OSSL_NAME(name) #name,
static const char *const names[] = {OSSL_FUNCTIONS(OSSL_NAME)};
_Static_assert(sizeof names == sizeof ossl, "one name for each entry");

/* libcrypto comes with libssl, and its functions are found there. */
static bool look_up(void *library) {
    void **entry = (void **)&ossl;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        entry[i] = dlsym(library, names[i]);
        if (!entry[i]) {
            snprintf(missing, sizeof missing, "OpenSSL 3 is needed: no %s in the library found",
                     names[i]);
            return false;
        }
    }
    return true;
}

/* At the process's end threads may still be using it: no handler takes it apart. */
static void keep_to_the_end(void *library) {
    enum { NO_ATEXIT = 0x00080000 }; /* OPENSSL_INIT_NO_ATEXIT */
    int (*init)(uint64_t, const void *);
    *(void **)&init = dlsym(library, "OPENSSL_init_crypto");
    if (init)
        init(NO_ATEXIT, NULL);
}

/* Never unloaded. */
static void load(void) {
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof libraries / sizeof libraries[0]; i++)
        library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
    if (library) {
        keep_to_the_end(library);
        loaded = look_up(library);
    } else {
        snprintf(missing, sizeof missing, "OpenSSL 3 is needed: %s", dlerror());
    }
}

bool ossl_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded;
}

const char *ossl_missing(void) {
    return missing;
}
