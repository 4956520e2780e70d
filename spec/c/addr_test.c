/*
 * addr_test: texts to addresses and back.
 */
#include "addr.h"
#include "check.h"
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

static struct addr addr;
static char text[ADDR_TEXT_MAX];

static int make(const char *host, int port, int family) {
    return addr_inet(&addr, host, strlen(host), port, family);
}

static int shows(const char *expected) {
    size_t n = addr_format(&addr, text, sizeof text);
    if (strcmp(text, expected) == 0 && n == strlen(expected))
        return 1;
    printf("  shown as %s\n", text);
    return 0;
}

static int host_is(const char *expected) {
    char host[ADDR_HOST_MAX];
    int n = addr_host(&addr, host, sizeof host);
    return n == (int)strlen(expected) && strcmp(host, expected) == 0;
}

static void test_ipv4(void) {
    CHECK("an IPv4 text is an address", make("127.0.0.1", 80, AF_UNSPEC) == 0);
    CHECK("it is of family AF_INET", addr_family(&addr) == AF_INET);
    CHECK("it has its port", addr_port(&addr) == 80);
    CHECK("it has its host", host_is("127.0.0.1"));
    CHECK("it is shown with its port", shows("127.0.0.1:80"));
    CHECK("it has the length of its family", addr.len == sizeof(struct sockaddr_in));
    CHECK("the largest one is fine", make("255.255.255.255", 65535, AF_INET) == 0);
    CHECK("and is shown", shows("255.255.255.255:65535"));
    CHECK("an empty host is any", make("", 0, AF_UNSPEC) == 0 && shows("0.0.0.0:0"));
    CHECK("a null host of length 0 is any", addr_inet(&addr, NULL, 0, 1, AF_INET) == 0);
}

/* Each octet, as the formatting is our own. */
static void test_every_octet(void) {
    int same = 1;
    for (int i = 0; i < 256; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "%d.%d.%d.%d", i, 255 - i, (i * 7) % 256, i);
        same &= make(expected, i, AF_INET) == 0 && host_is(expected);
    }
    CHECK("every octet is read and written alike", same);
}

static void test_ipv6(void) {
    CHECK("an IPv6 text is an address", make("::1", 80, AF_UNSPEC) == 0);
    CHECK("it is of family AF_INET6", addr_family(&addr) == AF_INET6);
    CHECK("it has its port", addr_port(&addr) == 80);
    CHECK("it is shown in brackets", shows("[::1]:80"));
    CHECK("an empty host can be any of IPv6", make("", 1, AF_INET6) == 0 && shows("[::]:1"));
    CHECK("a mapped address is IPv6", make("::ffff:1.2.3.4", 1, AF_UNSPEC) == 0);
    CHECK("and shown so", shows("[::ffff:1.2.3.4]:1"));
    CHECK("the longest text is fine",
          make("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, AF_INET6) == 0);
}

static void test_scopes(void) {
    CHECK("a scope may be a number", make("fe80::1%4294967295", 1, AF_UNSPEC) == 0);
    CHECK("it is kept", addr.u.in6.sin6_scope_id == 4294967295u);
    CHECK("a scope without an interface shows as number", shows("[fe80::1%4294967295]:1"));
    CHECK("a global address may have a scope", make("2001:db8::1%7", 1, AF_UNSPEC) == 0);
    CHECK("and hides it", shows("[2001:db8::1]:1"));
    if (if_nametoindex("lo") == 0)
        return;
    CHECK("a scope may be a name", make("fe80::1%lo", 80, AF_UNSPEC) == 0);
    CHECK("it is the interface's number", addr.u.in6.sin6_scope_id == if_nametoindex("lo"));
    CHECK("and is shown by name", shows("[fe80::1%lo]:80"));
    CHECK("a name is for addresses of a link only", make("2001:db8::1%lo", 80, AF_UNSPEC) == 1);
}

static void test_names_and_nonsense(void) {
    static const char *const texts[] = {
        "localhost",
        "1",
        "1.2",
        "1.2.3",
        "1.2.3.4.",
        ".1.2.3.4",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.256",
        "1..2.3",
        "01.2.3.4",
        "0x7f.1.1.1",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.-4",
        "1.2.3.4\n",
        "+1.2.3.4",
        "1,2,3,4",
        ":",
        ":::",
        "::1::",
        "1::2::3",
        "::g",
        "::12345",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "[::1]",
        "::1]",
        "::1%",
        "%1",
        "fe80::1%",
        "fe80::1%no such interface",
        "fe80::1%-1",
        "fe80::1%1x",
        "fe80::1%4294967296",
        "fe80::1%99999999999999999999999",
        "::1%lo%lo",
        "::ffff:1.2.3",
        "::ffff:1.2.3.256",
        "fe80::1%%",
        "1.2.3.4%1",
        "%",
        "*",
        "-",
        "/",
        "\xff\xfe",
        "::\xc2\xb9",
        "a.name.that.is.longer.than.any.numeric.address.with.the.longest.scope.can.ever.be",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char sentence[160];
        snprintf(sentence, sizeof sentence, "\"%s\" is not numeric", texts[i]);
        CHECK(sentence, make(texts[i], 80, AF_UNSPEC) == ADDR_NAME);
    }
    CHECK("IPv6 is not numeric for IPv4", make("::1", 1, AF_INET) == ADDR_NAME);
    CHECK("IPv4 is not numeric for IPv6", make("1.2.3.4", 1, AF_INET6) == ADDR_NAME);
}

static void test_refused(void) {
    CHECK("a NUL byte is refused", addr_inet(&addr, "1.2.3.4\0x", 9, 1, AF_INET) == -EINVAL);
    CHECK("a NUL byte at the end too", addr_inet(&addr, "1.2.3.4", 8, 1, AF_INET) == -EINVAL);
    CHECK("a NUL byte in a name too", addr_inet(&addr, "a\0b", 3, 1, AF_UNSPEC) == -EINVAL);
    CHECK("port -1 is refused", make("1.2.3.4", -1, AF_INET) == -EINVAL);
    CHECK("port 65536 is refused", make("::1", 65536, AF_INET6) == -EINVAL);
    CHECK("a bad port is refused before the name", make("localhost", 1 << 30, 0) == -EINVAL);
    CHECK("another family is refused", make("1.2.3.4", 1, AF_UNIX) == -EAFNOSUPPORT);
}

/* Bytes at random and digits at random: nothing but the three answers, and what is taken in must
   come out and in again the same. */
static void test_random_texts(void) {
    static const char letters[] = "0123456789abcdef.:%lo-";
    int sane = 1;
    srand(1);
    for (int i = 0; i < 200000; i++) {
        char bytes[64], host[ADDR_HOST_MAX];
        size_t n = (size_t)(rand() % 48);
        for (size_t j = 0; j < n; j++)
            bytes[j] = (char)(i % 4 ? letters[rand() % (int)(sizeof letters - 1)] : rand());
        int result = addr_inet(&addr, bytes, n, rand() % 65536, AF_UNSPEC);
        sane &= result == 0 || result == ADDR_NAME || result == -EINVAL;
        if (result == 0 && n > 0) {
            struct addr again;
            sane &= addr_host(&addr, host, sizeof host) > 0;
            sane &= addr_inet(&again, host, strlen(host), addr_port(&addr), AF_UNSPEC) == 0;
        }
    }
    CHECK("random texts are an address, a name or refused", sane);
}

static int path_is(const char *expected, size_t expected_len) {
    const char *path;
    size_t len;
    return addr_path(&addr, &path, &len) == 0 && len == expected_len &&
           memcmp(path, expected, len) == 0;
}

static void test_unix(void) {
    char path[200];
    size_t room = sizeof addr.u.un.sun_path;
    memset(path, 'p', sizeof path);

    CHECK("a path is an address", addr_unix(&addr, "/tmp/x.sock", 11) == 0);
    CHECK("it is of family AF_UNIX", addr_family(&addr) == AF_UNIX);
    CHECK("it has its path", path_is("/tmp/x.sock", 11));
    CHECK("it is shown as its path", shows("/tmp/x.sock"));
    CHECK("it has no port", addr_port(&addr) == -EAFNOSUPPORT);
    CHECK("it has no host", addr_host(&addr, text, sizeof text) == -EAFNOSUPPORT);
    CHECK("the longest path fits", addr_unix(&addr, path, room - 1) == 0);
    CHECK("whole", path_is(path, room - 1));
    CHECK("one byte more is too long", addr_unix(&addr, path, room) == -ENAMETOOLONG);
    CHECK("far too long is too long", addr_unix(&addr, path, sizeof path) == -ENAMETOOLONG);
    CHECK("a NUL byte inside a path is refused", addr_unix(&addr, "/a\0b", 4) == -EINVAL);
    CHECK("a NUL byte at its end too", addr_unix(&addr, "/a", 3) == -EINVAL);
    CHECK("an empty path is unnamed", addr_unix(&addr, "", 0) == 0 && path_is("", 0));
    CHECK("and is shown so", shows("(unnamed)"));
}

#ifdef __linux__
static void test_abstract(void) {
    char name[200] = {0};
    size_t room = sizeof addr.u.un.sun_path;

    CHECK("an abstract name is an address", addr_unix(&addr, "\0name", 5) == 0);
    CHECK("it keeps its NUL byte", path_is("\0name", 5));
    CHECK("it is shown with @", shows("@name"));
    CHECK("it may hold NUL bytes", addr_unix(&addr, "\0a\0b", 4) == 0 && path_is("\0a\0b", 4));
    CHECK("which are shown as @", shows("@a@b"));
    CHECK("it may fill the field", addr_unix(&addr, name, room) == 0 && path_is(name, room));
    CHECK("one byte more is too long", addr_unix(&addr, name, room + 1) == -ENAMETOOLONG);
}

/* What Linux returns for a path that fills the field is longer than struct sockaddr_un. */
static void test_full_path(void) {
    struct addr full = {.len = sizeof full.u.un};
    char directory[] = "/tmp/curio-addr-XXXXXX", *path = full.u.un.sun_path;
    size_t room = sizeof full.u.un.sun_path;
    int fd = net_socket(AF_UNIX, SOCK_STREAM, 0);
    if (!mkdtemp(directory))
        return;
    full.u.un.sun_family = AF_UNIX;
    size_t n = (size_t)snprintf(path, room, "%s/", directory);
    memset(path + n, 'f', room - n);
    CHECK("a path may fill the field", net_bind(fd, &full) == 0);
    CHECK("its address is returned", net_name(fd, &addr) == 0);
    CHECK("longer than the struct", addr.len > sizeof full.u.un);
    CHECK("and has the whole path", path_is(path, room));
    net_close(fd);
    char copy[sizeof full.u.un.sun_path + 1] = {0};
    memcpy(copy, path, room);
    CHECK("which is that of a file", unlink(copy) == 0);
    rmdir(directory);
}
#endif

static void test_odd_ones(void) {
    struct sockaddr_storage odd = {.ss_family = 99};
    CHECK("no address has no family", (addr.len = 0, addr_family(&addr) == AF_UNSPEC));
    CHECK("and is unnamed", shows("(unnamed)"));
    CHECK("a foreign family can be kept", addr_copy(&addr, (struct sockaddr *)&odd, 20) == 0);
    CHECK("and is shown as a number", shows("(address of family 99)"));
    CHECK("and has no path",
          addr_path(&addr, &(const char *){NULL}, &(size_t){0}) == -EAFNOSUPPORT);
    CHECK("too long an address does not fit",
          addr_copy(&addr, (struct sockaddr *)&odd, sizeof odd + 1) == -EINVAL);
    CHECK("an empty one does", addr_copy(&addr, NULL, 0) == 0);
    make("1.2.3.4", 5, AF_INET);
    addr.len = 4;
    CHECK("a cut IPv4 address has no host", addr_host(&addr, text, 99) == -EAFNOSUPPORT);
}

static void test_small_buffers(void) {
    char host[ADDR_HOST_MAX];
    make("1.2.3.4", 80, AF_INET);
    CHECK("a host that just fits is given", addr_host(&addr, host, 8) == 7);
    CHECK("one byte less is refused", addr_host(&addr, host, 7) == -ENOSPC);
    CHECK("no room is refused", addr_host(&addr, host, 0) == -ENOSPC);
    CHECK("a shown address is cut", addr_format(&addr, host, 5) == 4 && !strcmp(host, "1.2."));
    CHECK("even to nothing", addr_format(&addr, host, 1) == 0 && host[0] == '\0');
    make("::1", 80, AF_INET6);
    CHECK("IPv6 that just fits is given", addr_host(&addr, host, 4) == 3);
    CHECK("IPv6 one byte less is refused", addr_host(&addr, host, 3) == -ENOSPC);
}

static int equal(const char *a, int port_a, const char *b, int port_b) {
    struct addr other;
    addr_inet(&other, b, strlen(b), port_b, AF_UNSPEC);
    make(a, port_a, AF_UNSPEC);
    return addr_equal(&addr, &other) && addr_equal(&other, &addr);
}

static void test_equal(void) {
    struct addr other;
    CHECK("the same host and port are equal", equal("1.2.3.4", 5, "1.2.3.4", 5));
    CHECK("another port is not", !equal("1.2.3.4", 5, "1.2.3.4", 6));
    CHECK("another host is not", !equal("1.2.3.4", 5, "1.2.3.5", 5));
    CHECK("another family is not", !equal("1.2.3.4", 5, "::ffff:1.2.3.4", 5));
    CHECK("IPv6 too may be equal", equal("fe80::1%3", 5, "fe80:0::1%3", 5));
    CHECK("another scope is not", !equal("fe80::1%3", 5, "fe80::1%4", 5));
    addr_unix(&addr, "/x", 2);
    addr_copy(&other, &addr.u.any, addr.len);
    CHECK("paths are equal", addr_equal(&addr, &other));
    other.len--;
    CHECK("whether a NUL byte is counted or not", addr_equal(&addr, &other));
    addr_unix(&other, "/xy", 3);
    CHECK("unless they differ", !addr_equal(&addr, &other));
}

int main(void) {
    test_ipv4();
    test_every_octet();
    test_ipv6();
    test_scopes();
    test_names_and_nonsense();
    test_refused();
    test_random_texts();
    test_unix();
#ifdef __linux__
    test_abstract();
    test_full_path();
#endif
    test_odd_ones();
    test_small_buffers();
    test_equal();
    return check_end();
}
