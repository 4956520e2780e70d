/*
 * Unit tests of fs.c and fsjob.c: buffers against a model of the file, errors, and files that are
 * left in every state by their owner.
 */
#include "fsjob.h"
#include "wake.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[] = "/tmp/fs_test_XXXXXX";

static void make_file(const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
}

static bool file_is(const char *text, size_t len) {
    static char data[1 << 20];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, data, sizeof data);
    close(fd);
    return n == (ssize_t)len && !memcmp(data, text, len);
}

static struct fs opened(const char *mode) {
    struct fs f = {.fd = -1};
    CHECK("a file is opened", fs_open(&f, path, fs_flags(mode)) == 0);
    return f;
}

/* ---- modes ---- */

static void test_modes(void) {
    CHECK("r reads", fs_flags("r") == FS_READS);
    CHECK("w creates and empties", fs_flags("wb") == (FS_WRITES | FS_CREATES | FS_TRUNCATES));
    CHECK("a appends", fs_flags("a") == (FS_WRITES | FS_CREATES | FS_APPENDS));
    CHECK("+ does both", fs_flags("r+b") == (FS_READS | FS_WRITES));
    CHECK("b may stand twice, as for Lua", fs_flags("rbb") == FS_READS);
    CHECK("other modes are refused", fs_flags("") < 0 && fs_flags("x") < 0 && fs_flags("rw") < 0);
    CHECK("also by order", fs_flags("rb+") < 0 && fs_flags("r++") < 0 && fs_flags("br") < 0);
}

/* ---- buffers ---- */

static bool read_is(struct fs *f, const char *text) {
    const char *data;
    size_t n = strlen(text);
    while (fs_unread(f, &data) < n) {
        ssize_t got = fs_reserve(f, n) < 0 ? -1 : fs_fill(f, n - fs_unread(f, &data));
        if (got <= 0)
            return false;
        fs_filled(f, (size_t)got);
    }
    fs_unread(f, &data);
    bool same = !memcmp(data, text, n);
    fs_consume(f, n);
    return same;
}

static void write_text(struct fs *f, const char *text) {
    fs_rewind(f);
    if (fs_make_room(f, strlen(text)) < 0)
        abort();
    fs_append(f, text, strlen(text));
}

static void test_position(void) {
    make_file("0123456789");
    struct fs f = opened("r+");
    CHECK("bytes are read", read_is(&f, "01"));
    CHECK("the position is where one has read to", fs_seek_near(&f, SEEK_CUR, 0) == 2);
    write_text(&f, "ab");
    CHECK("a write goes there", read_is(&f, "45"));
    CHECK("and is written out before the next read", file_is("01ab456789", 10));
    CHECK("seeking near keeps what was read", fs_seek_near(&f, SEEK_SET, 9) == 9);
    CHECK("all of it", read_is(&f, "9"));
    CHECK("nothing stands before the start", fs_seek_near(&f, SEEK_CUR, -11) == -EINVAL);
    CHECK("positions do not overflow", fs_seek_near(&f, SEEK_CUR, INT64_MAX) == -EOVERFLOW);
    CHECK("a failed seek changes nothing", fs_seek_near(&f, SEEK_CUR, 0) == 10);
    CHECK("the end is found", fs_seek(&f, SEEK_END, -3) == 7 && read_is(&f, "7"));
    CHECK("a file is cut where one stands", fs_truncate(&f, -1) == 8 && file_is("01ab4567", 8));
    CHECK("it is closed", fs_close(&f) == 0 && f.fd < 0);
    CHECK("twice", fs_close(&f) == 0);
}

static void test_withdraw(void) {
    make_file("");
    struct fs f = opened("w");
    write_text(&f, "kept");
    write_text(&f, "taken back");
    fs_withdraw(&f, 10);
    CHECK("the last bytes can be taken back", fs_close(&f) == 0 && file_is("kept", 4));
}

static void test_full(void) {
    struct fs f = {.fd = -1};
    CHECK("/dev/full opens", fs_open(&f, "/dev/full", fs_flags("w")) == 0);
    write_text(&f, "x");
    CHECK("what cannot be written stays", fs_flush(&f) == -ENOSPC && fs_unwritten(&f) == 1);
    CHECK("closing says so, and closes", fs_close(&f) == -ENOSPC && f.fd < 0);
}

/* Random operations on the buffers and on a plain array. */
static void test_model(void) {
    static char model[1 << 16], text[300];
    size_t size = 0, at = 0;
    unsigned seed = 5;
    bool same = true;
    make_file("");
    struct fs f = opened("w+");
    for (int turn = 0; turn < 20000 && same; turn++) {
        size_t n = (size_t)rand_r(&seed) % (sizeof text - 1);
        switch (rand_r(&seed) % 4) {
        case 0:
            memset(text, 'a' + turn % 26, n);
            text[n] = '\0';
            if (at + n > sizeof model)
                break;
            write_text(&f, text);
            memcpy(model + at, text, n);
            at += n;
            size = at > size ? at : size;
            break;
        case 1:
            if (at + n > size)
                break;
            memcpy(text, model + at, n);
            text[n] = '\0';
            same = read_is(&f, text);
            at += n;
            break;
        case 2:
            at = size ? (size_t)rand_r(&seed) % size : 0;
            same = (fs_unwritten(&f) ? fs_seek(&f, SEEK_SET, (int64_t)at)
                                     : fs_seek_near(&f, SEEK_SET, (int64_t)at)) == (int64_t)at;
            break;
        default:
            same = fs_flush(&f) == 0 && fs_seek_near(&f, SEEK_CUR, 0) == (int64_t)at;
        }
    }
    CHECK("random operations agree with the model", same);
    CHECK("and so does the file", fs_close(&f) == 0 && file_is(model, size));
}

/* ---- jobs ---- */

static int delivered;

static void deliver(struct wake_node *node) {
    int *count = fsjob_delivered(node);
    if (count)
        ++*count;
}

static struct fsjob *job_new(const char *mode) {
    return fsjob_new(path, fs_flags(mode), deliver);
}

static bool run(struct fsjob *j, struct wake *wake, enum fsjob_op op) {
    int before = delivered;
    if (fsjob_start(j, op) != 0)
        return false;
    fsjob_listen(j, wake, &delivered);
    return WAIT_FOR((wake_drain(wake), delivered > before)) && !fsjob_busy(j);
}

static void test_job(struct wake *wake) {
    make_file("hello");
    struct fsjob *j = job_new("r+");
    const char *data;
    CHECK("a thread opens it", run(j, wake, FSJOB_OPEN) && j->result == 0);
    fs_reserve(&j->fs, 1);
    j->want = 1;
    CHECK("and reads", run(j, wake, FSJOB_FILL) && fs_unread(&j->fs, &data) == 5);
    write_text(&j->fs, "j");
    CHECK("who has not listened finds the result too", fsjob_start(j, FSJOB_FLUSH) == 0);
    CHECK("by asking", WAIT_FOR(!fsjob_busy(j)) && j->result == 0 && file_is("jello", 5));
    write_text(&j->fs, "!");
    fsjob_leave(j);
    CHECK("a file that is left is written out", WAIT_FOR(file_is("j!llo", 5)));
}

/* Each is left at another moment: idle, queued, running, over, with its news under way. */
static void test_leaving(struct wake *wake) {
    unsigned seed = 9;
    make_file("text");
    for (int i = 0; i < 1000; i++) {
        struct fsjob *j = job_new("r+");
        int rounds = rand_r(&seed) % 4;
        bool listens = rand_r(&seed) % 2;
        for (int op = FSJOB_OPEN; rounds-- > 0 && op <= FSJOB_SEEK; op++) {
            fs_reserve(&j->fs, 10);
            j->want = 10;
            if (fsjob_start(j, op) != 0)
                abort();
            if (listens)
                fsjob_listen(j, wake, &delivered);
            if (rounds)
                WAIT_FOR((wake_drain(wake), !fsjob_busy(j)));
        }
        if (listens)
            fsjob_unlisten(j);
        if (rand_r(&seed) % 3 == 0)
            fsjob_cancel(j);
        fsjob_leave(j);
        if (rand_r(&seed) % 8 == 0)
            wake_drain(wake);
    }
    wake_drain(wake);
}

static int open_files(void) {
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_fifo(struct wake *wake) {
    unlink(path);
    if (mkfifo(path, 0600) != 0)
        abort();
    struct fsjob *j = job_new("r");
    CHECK("opening a FIFO waits for a writer", fsjob_start(j, FSJOB_OPEN) == 0 && fsjob_busy(j));
    int threads, idle, queued;
    WAIT_FOR((pool_counts(&threads, &idle, &queued), queued == 0));
    fsjob_listen(j, wake, &delivered);
    fsjob_unlisten(j);
    fsjob_leave(j);
    int writer, reader_gone;
    CHECK("which comes when nobody waits any more",
          WAIT_FOR((writer = open(path, O_WRONLY | O_NONBLOCK)) >= 0));
    struct pollfd p = {.fd = writer};
    CHECK("and finds it closed",
          WAIT_FOR((reader_gone = poll(&p, 1, 0) == 1 && p.revents & POLLERR)) && reader_gone);
    close(writer);
    unlink(path);
}

static void test_fork(void) {
    make_file("");
    struct fs f = opened("w");
    fs_close(&f);
    struct fsjob *j = job_new("w");
    pid_t child = fork();
    if (child == 0) {
        j->fs = opened("w");
        write_text(&j->fs, "of the parent");
        fsjob_leave(j);
        exit(0);
    }
    while (kill(child, 0) == 0 && waitpid(child, NULL, 0) != child)
        ;
    CHECK("a forked child writes nothing of its parent's", file_is("", 0));
    fsjob_leave(j);
}

int main(void) {
    if (mkstemp(path) < 0)
        return 1;
    struct wake *wake = wake_new();
    int before = open_files();
    pool_ref();
    test_modes();
    test_position();
    test_withdraw();
    test_full();
    test_model();
    test_job(wake);
    test_leaving(wake);
    CHECK("whenever a file is left, its descriptor is closed", WAIT_FOR(open_files() == before));
    test_fifo(wake);
    test_fork();
    wake_close(wake);
    wake_unref(wake);
    pool_unref();
    unlink(path);
    return check_end();
}
