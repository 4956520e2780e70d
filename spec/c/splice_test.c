/*
 * splice_test: bytes moved by the system; pipes lent and given back; no SIGPIPE.
 */
#include "check.h"
#include "fdio.h"
#include "splice.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static void pair(int fds[2]) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        abort();
}

static void close_pair(int fds[2]) {
    close(fds[0]);
    close(fds[1]);
}

static int arrives(int fd, const char *text) {
    char got[64] = "";
    ssize_t n = read(fd, got, sizeof got);
    return n == (ssize_t)strlen(text) && !memcmp(got, text, (size_t)n);
}

static void test_between_sockets(void) {
    int a[2], b[2];
    struct splice p = {-1, -1, 0};
    pair(a);
    pair(b);
    splice_begin();
    CHECK("a pipe is to be had", splice_acquire(&p) == 0);
    CHECK("nothing there would block", splice_in(&p, a[1], 100) == -EAGAIN);
    CHECK("five bytes are sent", write(a[0], "hello", 5) == 5);
    CHECK("they go into the pipe", splice_in(&p, a[1], 100) == 5 && p.held == 5);
    CHECK("and out of it", splice_out(&p, b[0]) == 5 && p.held == 0 && arrives(b[1], "hello"));
    CHECK("five more are sent", write(a[0], "world", 5) == 5);
    CHECK("a part goes into the pipe", splice_in(&p, a[1], 3) == 3);
    char back[8] = "";
    CHECK("and is taken back",
          splice_take_back(&p, back, sizeof back) == 3 && !strcmp(back, "wor"));
    CHECK("then there is nothing more", splice_take_back(&p, back, sizeof back) == 0);
    CHECK("the rest is still there", arrives(a[1], "ld"));
    close(a[0]);
    CHECK("the end is the end", splice_in(&p, a[1], 100) == 0);
    int rd = p.rd;
    splice_release(&p);
    CHECK("a pipe given back is kept", p.rd == -1 && fcntl(rd, F_GETFD) >= 0);
    CHECK("and lent again", splice_acquire(&p) == 0 && p.rd == rd);
    splice_release(&p);
    splice_end();
    CHECK("until nobody pumps", fcntl(rd, F_GETFD) < 0);
    close(a[1]);
    close_pair(b);
}

static void test_without_signals(void) {
    int a[2], b[2];
    struct splice p = {-1, -1, 0};
    struct fdio pipe_end = {-1, FDIO_PIPE, false, false};
    int fds[2];
    pair(a);
    pair(b);
    splice_begin();
    CHECK("there is a pipe and something in it",
          splice_acquire(&p) == 0 && write(a[0], "x", 1) == 1 && splice_in(&p, a[1], 1) == 1);
    close(b[1]);
    CHECK("a socket without a reader is EPIPE", splice_out(&p, b[0]) == -EPIPE);
    splice_release(&p);
    splice_end();
    CHECK("a pipe can be made", pipe(fds) == 0);
    pipe_end.fd = fds[1];
    close(fds[0]);
    CHECK("a pipe without a reader too",
          fdio_write(&pipe_end, &(struct iovec){"x", 1}, 1) == -EPIPE);
    CHECK("also by splice", write(a[0], "x", 1) == 1 && splice_direct(a[1], fds[1], 1) == -EPIPE);
    close(fds[1]);
    close(b[0]);
    close_pair(a);
    sigset_t set;
    sigpending(&set);
    CHECK("and no signal is left waiting", !sigismember(&set, SIGPIPE));
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    CHECK("nor blocked", !sigismember(&set, SIGPIPE));
}

static void test_files(void) {
    int a[2];
    off_t offset = 2;
    FILE *file = tmpfile();
    pair(a);
    if (!file)
        abort();
    fputs("0123456789", file);
    rewind(file);
    int fd = fileno(file);
    CHECK("a file is sent from its position on", splice_sendfile(a[0], fd, NULL, 3) == 3);
    CHECK("which moves", splice_sendfile(a[0], fd, NULL, 3) == 3 && arrives(a[1], "012345"));
    CHECK("or from an offset on",
          splice_sendfile(a[0], fd, &offset, 3) == 3 && offset == 5 && arrives(a[1], "234"));
    CHECK("to its end", splice_sendfile(a[0], fd, NULL, 100) == 4 && arrives(a[1], "6789"));
    CHECK("where nothing is left", splice_sendfile(a[0], fd, NULL, 100) == 0);
    rewind(file);
    CHECK("what the C library has read ahead is to be had",
          fgetc(file) == '0' && fdio_ahead(file) == 9);
    char ahead[16] = "";
    CHECK("in parts",
          fdio_read_ahead(file, ahead, 4) == 4 && !strcmp(ahead, "1234") && fdio_ahead(file) == 5);
    fclose(file);
    close_pair(a);
}

static int lowest_free(void) {
    int fd = dup(0);
    close(fd);
    return fd;
}

int main(void) {
    int before = lowest_free();
    test_between_sockets();
    test_without_signals();
    test_files();
    CHECK("no descriptor is left", lowest_free() == before);
    return check_end();
}
