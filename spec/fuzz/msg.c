/*
 * Ancillary data: a buffer of anything is parsed; items lie inside it, and what is put into a
 * buffer comes out again. No descriptor of this process is closed: net_close is the harness's.
 *
 * Sources: msg.c mcast.c addr.c
 */
#include "fuzz.h"

#include "mcast.h"
#include "msg.h"
#include "net.h"

static size_t closed;

int net_close(int fd) {
    (void)fd;
    closed++;
    return 0;
}

int net_cloexec(int fd) {
    (void)fd;
    return 0;
}

static void parse(const char *buf, size_t size) {
    struct msg_item item;
    size_t at = 0, fds = 0;
    while (msg_next(buf, size, &at, &item)) {
        MUST(item.data >= buf && item.len <= size && item.data + item.len <= buf + size);
        MUST(at <= size);
        for (size_t i = 0; i < msg_item_fds(&item); i++, fds++)
            msg_item_fd(&item, i);
    }
    closed = 0;
    msg_close_fds(buf, size, 2);
    MUST(closed == (fds > 2 ? fds - 2 : 0));
}

/* The input as pieces of different lengths. */
static void build(const char *data, size_t size) {
    static _Alignas(16) char buf[4096];
    size_t used = 0, put = 0, at = 0, from = 0;
    struct msg_item item, got;
    while (from < size) {
        size_t len = (unsigned char)data[from] % 40;
        if (len > size - from)
            len = size - from;
        item = (struct msg_item){data[from], (int)len, data + from, len};
        if (msg_put(buf, sizeof buf, &used, &item) < 0)
            break;
        put++;
        from += len ? len : 1;
    }
    MUST(used <= sizeof buf);
    for (from = 0; msg_next(buf, used, &at, &got); from += got.len ? got.len : 1, put--)
        MUST(got.type == (int)got.len && !memcmp(got.data, data + from, got.len));
    MUST(put == 0);
}

static void join(const char *data, size_t size) {
    char text[64], buf[MCAST_SIZE];
    size_t half = size / 2 < sizeof text ? size / 2 : sizeof text - 1;
    memcpy(text, data, half);
    text[half] = '\0';
    const char *rest = memchr(text, '/', half);
    rest = rest ? rest + 1 : "";
    MUST(mcast_member4(buf, text, rest) <= MCAST_SIZE);
    MUST(mcast_source4(buf, text, rest, "") <= MCAST_SIZE);
    MUST(mcast_member6(buf, text, rest) <= MCAST_SIZE);
    MUST(mcast_interface4(buf, rest) <= MCAST_SIZE);
    MUST(mcast_interface6(buf, rest) <= MCAST_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = malloc(size); /* aligned, and its end is watched */
    if (size)
        memcpy(copy, data, size);
    parse(copy, size);
    build(copy, size);
    join(copy, size);
    free(copy);
    return 0;
}
