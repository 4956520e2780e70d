/*
 * msg_test: ancillary data, built, sent, received, and made up by somebody who means ill.
 */
#include "check.h"
#include "mcast.h"
#include "msg.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

static int is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

static size_t put_fds(char *buf, size_t size, const int *fds, size_t n) {
    struct msg_item item = {SOL_SOCKET, SCM_RIGHTS, (const char *)fds, n * sizeof *fds};
    size_t used = 0;
    return msg_put(buf, size, &used, &item) == 0 ? used : 0;
}

static void test_building(void) {
    _Alignas(struct cmsghdr) char buf[128];
    struct msg_item one = {1, 2, "abc", 3}, two = {3, 4, "", 0}, got;
    size_t used = 0, at = 0;
    CHECK("an item goes in", msg_put(buf, sizeof buf, &used, &one) == 0);
    CHECK("it takes the space that is told", used == msg_item_space(3));
    CHECK("another follows", msg_put(buf, sizeof buf, &used, &two) == 0);
    size_t full = used;
    struct msg_item big = {1, 1, buf, sizeof buf};
    CHECK("one that has no room does not", msg_put(buf, sizeof buf, &used, &big) == -ENOSPC);
    CHECK("and changes nothing", used == full);
    big.len = SIZE_MAX;
    CHECK("nor does one of any size", msg_put(buf, sizeof buf, &used, &big) == -ENOSPC);
    CHECK("the first comes out", msg_next(buf, used, &at, &got));
    CHECK("as it was",
          got.level == 1 && got.type == 2 && got.len == 3 && !memcmp(got.data, "abc", 3));
    CHECK("the second comes out", msg_next(buf, used, &at, &got));
    CHECK("as it was, empty", got.level == 3 && got.type == 4 && got.len == 0);
    CHECK("there is no third", !msg_next(buf, used, &at, &got));
    CHECK("nor a fourth", !msg_next(buf, used, &at, &got));
    CHECK("sizes that do not exist are told", !msg_item_len(SIZE_MAX) && !msg_item_space(SIZE_MAX));
}

static void test_lies(void) {
    _Alignas(struct cmsghdr) char buf[64];
    struct cmsghdr h = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    struct msg_item got;
    size_t at = 0;
    memset(buf, 0x7f, sizeof buf);
    h.cmsg_len = SIZE_MAX;
    memcpy(buf, &h, sizeof h);
    CHECK("a length beyond the buffer is cut", msg_next(buf, sizeof buf, &at, &got));
    CHECK("to what is there", got.len == sizeof buf - CMSG_LEN(0));
    CHECK("and nothing follows", !msg_next(buf, sizeof buf, &at, &got));
    at = 0;
    h.cmsg_len = CMSG_LEN(0) - 1;
    memcpy(buf, &h, sizeof h);
    CHECK("a length below the header's ends it", !msg_next(buf, sizeof buf, &at, &got));
    CHECK("a buffer shorter than a header is empty", !msg_next(buf, CMSG_LEN(0) - 1, &at, &got));
    at = 0;
    h.cmsg_len = CMSG_LEN(6);
    memcpy(buf, &h, sizeof h);
    CHECK("an item with a descriptor and a half", msg_next(buf, sizeof buf, &at, &got));
    CHECK("has one", msg_item_fds(&got) == 1);
    got.type = SCM_RIGHTS + 1;
    CHECK("an item of another type has none", msg_item_fds(&got) == 0);
}

static void test_sending(void) {
    _Alignas(struct cmsghdr) char out[128], in[128];
    int pair[2], ends[2];
    char text[16];
    CHECK("a pair", net_pair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && pipe(ends) == 0);
    struct iovec pieces[2] = {{"one", 3}, {"two", 3}}, to = {text, sizeof text};
    struct msg m = {.pieces = pieces, .npieces = 2, .control = out};
    m.control_len = put_fds(out, sizeof out, ends, 2);
    CHECK("a message is sent", msg_send(pair[0], &m, 0) == 6);
    struct msg got = {.pieces = &to, .npieces = 1, .control = in, .control_len = sizeof in};
    CHECK("and received", msg_recv(pair[1], &got, 0) == 6 && !memcmp(text, "onetwo", 6));
    CHECK("with no flags, our own for one", got.flags == 0);
    struct msg_item item;
    size_t at = 0;
    CHECK("there is an item", msg_next(in, got.control_len, &at, &item));
    CHECK("of two descriptors", msg_item_fds(&item) == 2);
    int first = msg_item_fd(&item, 0), second = msg_item_fd(&item, 1);
    CHECK("that are open", is_open(first) && is_open(second));
    CHECK("and close on exec", fcntl(first, F_GETFD) & FD_CLOEXEC);
    msg_close_fds(in, got.control_len, 1);
    CHECK("closed but for the first", is_open(first) && !is_open(second));
    CHECK("nothing more is there", msg_recv(pair[1], &got, 0) == -EAGAIN);
    net_close(first);
    for (int i = 0; i < 2; i++) {
        net_close(pair[i]);
        net_close(ends[i]);
    }
}

static void test_multicast(void) {
    char buf[MCAST_SIZE];
    struct ipv6_mreq six;
    CHECK("a group by interface address", mcast_member4(buf, "224.0.0.77", "127.0.0.1") > 0);
    CHECK("a group, the interface open", mcast_member4(buf, "224.0.0.77", "") > 0);
    CHECK("a name is no group", mcast_member4(buf, "localhost", "") == -EINVAL);
    CHECK("nor is nothing", mcast_member4(buf, "", "") == -EINVAL);
    CHECK("no such interface", mcast_member4(buf, "224.0.0.77", "no-such-7") == -ENODEV);
    CHECK("nor with that number", mcast_member4(buf, "224.0.0.77", "99999999999") == -ENODEV);
    CHECK("a source", mcast_source4(buf, "232.0.0.77", "127.0.0.1", "127.0.0.1") > 0);
    CHECK("no source", mcast_source4(buf, "232.0.0.77", "", "") == -EINVAL);
    CHECK("a group of IPv6", mcast_member6(buf, "ff02::77%7", "") == (int)sizeof six);
    memcpy(&six, buf, sizeof six);
    CHECK("with its scope", six.ipv6mr_interface == 7);
    CHECK("no group of IPv6", mcast_member6(buf, "224.0.0.77", "") == -EINVAL);
    CHECK("an interface of none", mcast_interface6(buf, "") == (int)sizeof(int));
}

int main(void) {
    test_building();
    test_lies();
    test_sending();
    test_multicast();
    return check_end();
}
