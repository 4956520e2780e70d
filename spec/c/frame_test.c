/*
 * frame_test: messages over a socket pair, in one piece, in many, with descriptors, and what is
 * none.
 */
#include "check.h"
#include "frame.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

static void pair(int fds[2], bool blocking) {
    if (socketpair(AF_UNIX, SOCK_STREAM | (blocking ? 0 : SOCK_NONBLOCK), 0, fds) < 0)
        exit(1);
}

static void close_pair(int fds[2]) {
    close(fds[0]);
    close(fds[1]);
}

static void fill(struct message *m, size_t size) {
    char *block = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        block[i] = (char)(i * 7);
    message_init(m);
    message_adopt(m, block, size);
}

static bool same(const struct message *a, const struct message *b) {
    return a->size == b->size && memcmp(message_data(a), message_data(b), a->size) == 0;
}

/* Both ends in turn, as neither waits. */
static bool carried(size_t size) {
    int fds[2];
    struct message m;
    struct frame_out out;
    struct frame_in in;
    pair(fds, false);
    fill(&m, size);
    frame_out_init(&out, &m);
    frame_in_init(&in);
    int sent, received;
    do {
        sent = frame_send(fds[0], &out);
        received = frame_recv(fds[1], &in);
    } while ((sent == -EAGAIN || sent == 0) && received == -EAGAIN);
    bool good = sent == 0 && received == 0 && same(&m, &in.message);
    message_drop(&m);
    frame_in_term(&in);
    close_pair(fds);
    return good;
}

static void test_sizes(void) {
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100000, 5000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        CHECK("a message arrives as it was sent", carried(sizes[i]));
}

static void test_descriptors(void) {
    int fds[2];
    struct message m;
    struct frame_out out;
    struct frame_in in;
    pair(fds, true);
    fill(&m, 10);
    for (int i = 0; i < 20; i++)
        message_attach(&m, open("/dev/null", O_RDONLY));
    CHECK("twenty descriptors fit", frame_out_init(&out, &m) == 0);
    frame_in_init(&in);
    CHECK("they are sent", frame_send(fds[0], &out) == 0);
    CHECK("and received", frame_recv(fds[1], &in) == 0);
    int got[32];
    CHECK("all of them", message_fds(&in.message, got, 32) == 20 && fcntl(got[19], F_GETFD) >= 0);
    message_drop(&m);
    frame_in_term(&in);
    CHECK("a dropped message has closed them", fcntl(got[19], F_GETFD) < 0);
    fill(&m, 1);
    for (int i = 0; i <= FRAME_FDS; i++)
        message_attach(&m, open("/dev/null", O_RDONLY));
    CHECK("too many are refused", frame_out_init(&out, &m) == -E2BIG);
    message_drop(&m);
    close_pair(fds);
}

static int receive_bytes(const void *bytes, size_t size) {
    int fds[2];
    struct frame_in in;
    pair(fds, true);
    if (write(fds[0], bytes, size) != (ssize_t)size)
        exit(1);
    close(fds[0]);
    frame_in_init(&in);
    int err = frame_recv(fds[1], &in);
    frame_in_term(&in);
    close(fds[1]);
    return err;
}

static void test_garbage(void) {
    struct {
        struct frame_head head;
        char bytes[104]; /* no padding */
    } frame;
    memset(&frame, 0, sizeof frame);
    struct message m;
    struct frame_out out;
    fill(&m, sizeof frame.bytes);
    frame_out_init(&out, &m);
    frame.head = out.head;
    message_drop(&m);
    CHECK("this is one", receive_bytes(&frame, sizeof frame) == 0);
    CHECK("words are none", receive_bytes("garbage garbage garbage", 23) == -EBADMSG);
    CHECK("the end is the end", receive_bytes(&frame, 0) == -EPIPE);
    CHECK("in a head, too", receive_bytes(&frame, 7) == -EPIPE);
    CHECK("and in a body", receive_bytes(&frame, sizeof frame - 1) == -EPIPE);
    frame.head.size--;
    CHECK("more than announced is none", receive_bytes(&frame, sizeof frame) == -EBADMSG);
    frame.head.size = 1ull << 60;
    CHECK("nor what cannot be", receive_bytes(&frame, sizeof frame) == -EBADMSG);
    frame.head.size = 1ull << 38;
    CHECK("a bold size takes no memory", receive_bytes(&frame, sizeof frame) == -EPIPE);
    frame.head = out.head;
    frame.head.nfds = 3;
    CHECK("missing descriptors are noticed", receive_bytes(&frame, sizeof frame) == -EBADMSG);
}

static void test_random(void) {
    unsigned seed = 4711;
    for (int i = 0; i < 2000; i++) {
        char bytes[200];
        for (size_t j = 0; j < sizeof bytes; j++)
            bytes[j] = (char)rand_r(&seed);
        if (i % 2)
            memcpy(bytes, &(struct frame_head){.magic = 0x4f525543u}, 4);
        if (receive_bytes(bytes, (size_t)rand_r(&seed) % sizeof bytes) >= 0)
            CHECK("random bytes are no frame", false);
    }
    CHECK("random bytes harm nobody", true);
}

int main(void) {
    test_sizes();
    test_descriptors();
    test_garbage();
    test_random();
    return check_end();
}
