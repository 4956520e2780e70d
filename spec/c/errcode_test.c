/*
 * errcode_test: names and texts of codes.
 */
#include "check.h"
#include "errcode.h"

#include <errno.h>
#include <netdb.h>

static int names(int err, const char *name) {
    return strcmp(errcode_name(err), name) == 0;
}

static int eai_names(int eai, const char *name) {
    return strcmp(errcode_eai_name(eai), name) == 0;
}

static void test_names(void) {
    CHECK("a refused connection has its C name", names(ECONNREFUSED, "ECONNREFUSED"));
    CHECK("the first errno has a name", names(EPERM, "EPERM"));
    CHECK("would block is EAGAIN", names(EWOULDBLOCK, "EAGAIN"));
    CHECK("an unsupported operation has a name", names(EOPNOTSUPP, "EOPNOTSUPP"));
    CHECK("zero is unknown", names(0, "EUNKNOWN"));
    CHECK("a negative code is unknown", names(-ECONNREFUSED, "EUNKNOWN"));
    CHECK("a code beyond the table is unknown", names(100000, "EUNKNOWN"));
    CHECK("the largest int is unknown", names(0x7fffffff, "EUNKNOWN"));
}

#ifdef __linux__
/* Numbers that Linux never gave out. */
static int is_hole(int err) {
    return err == 41 || err == 58;
}

static void test_all_of_linux(void) {
    char text[80];
    for (int err = 1; err <= 133; err++) {
        snprintf(text, sizeof text, "errno %d of Linux has a name unless it is a hole", err);
        CHECK(text, names(err, "EUNKNOWN") == is_hole(err));
    }
}
#endif

static void test_eai_names(void) {
    CHECK("an unknown host is EAI_NONAME", eai_names(EAI_NONAME, "EAI_NONAME"));
    CHECK("a temporary failure is EAI_AGAIN", eai_names(EAI_AGAIN, "EAI_AGAIN"));
    CHECK("a system error is EAI_SYSTEM", eai_names(EAI_SYSTEM, "EAI_SYSTEM"));
    CHECK("success is not an error's name", eai_names(0, "EAI_UNKNOWN"));
    CHECK("an odd number is unknown", eai_names(12345, "EAI_UNKNOWN"));
}

static void test_messages(void) {
    char text[128], small[5], one = 'x';
    errcode_message(ECONNREFUSED, text, sizeof text);
    CHECK("a message is the system's", strcmp(text, strerror(ECONNREFUSED)) == 0);
    errcode_message(99999, text, sizeof text);
    CHECK("an unknown code has a message too", strlen(text) > 0 && strstr(text, "99999"));
    errcode_message(ECONNREFUSED, small, sizeof small);
    CHECK("a message is cut to the buffer", strlen(small) == sizeof small - 1);
    errcode_message(ECONNREFUSED, &one, 1);
    CHECK("one byte holds an empty message", one == '\0');
    one = 'x';
    errcode_message(ECONNREFUSED, &one, 0);
    CHECK("no byte is written into no room", one == 'x');
    errno = EDOM;
    errcode_message(-1, text, sizeof text);
    CHECK("errno is left alone", errno == EDOM);
}

int main(void) {
    test_names();
#ifdef __linux__
    test_all_of_linux();
#endif
    test_eai_names();
    test_messages();
    return check_end();
}
