/*
 * transfer -- sends much and has it received: the two ends between which a proxy is measured.
 *
 *     transfer sink                    prints "listening 127.0.0.1 PORT"; ends on a signal
 *     transfer send HOST PORT BYTES    prints "bytes=N seconds=S rate=MB/s"
 *
 * The sink takes one connection after the other, each to its end, and answers with the number of
 * bytes and their checksum. The sender, which is to be connected to it through a proxy, compares
 * them with its own and fails if they differ; so a proxy must also pass on the end of the stream
 * and then the answer. The seconds are those until the answer has come.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, WORD = sizeof(uint64_t) };

static uint64_t block[BLOCK / WORD];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of a stream of bytes, however it is cut: each counts by its place, modulo the size of a word. */
struct sum {
    uint64_t bytes;
    uint64_t value;
};

static void sum_add(struct sum *s, const unsigned char *data, size_t n) {
    while (n > 0) {
        size_t place = s->bytes % WORD;
        uint64_t word = 0;
        if (place == 0 && n >= WORD) {
            size_t words = n / WORD;
            for (size_t i = 0; i < words; i++) {
                memcpy(&word, data + i * WORD, WORD);
                s->value += word;
            }
            s->bytes += words * WORD;
            data += words * WORD;
            n -= words * WORD;
            continue;
        }
        word = (uint64_t)*data << (place * 8);
        s->value += word;
        s->bytes++;
        data++;
        n--;
    }
}

/* ---- the sink ---- */

static void receive(int fd) {
    struct sum s = {0, 0};
    ssize_t n;
    char text[64];
    while ((n = recv(fd, block, sizeof block, 0)) > 0)
        sum_add(&s, (unsigned char *)block, (size_t)n);
    snprintf(text, sizeof text, "%llu %llu\n", (unsigned long long)s.bytes,
             (unsigned long long)s.value);
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        perror("transfer: send");
    close(fd);
}

static void sink(void) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, 16) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        die("transfer: listen");
    printf("listening 127.0.0.1 %d\n", ntohs(addr.sin_port));
    fflush(stdout);
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client < 0)
            die("transfer: accept");
        receive(client);
    }
}

/* ---- the sender ---- */

static int connect_to(const char *host, int port) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || inet_pton(AF_INET, host, &addr.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        die("transfer: connect");
    return fd;
}

static void send_all(int fd, struct sum *s, uint64_t bytes) {
    while (s->bytes < bytes) {
        size_t at = s->bytes % BLOCK, n = BLOCK - at;
        if (n > bytes - s->bytes)
            n = (size_t)(bytes - s->bytes);
        ssize_t sent = send(fd, (char *)block + at, n, MSG_NOSIGNAL);
        if (sent < 0)
            die("transfer: send");
        sum_add(s, (unsigned char *)block + at, (size_t)sent);
    }
    shutdown(fd, SHUT_WR);
}

static void read_answer(int fd, const struct sum *s) {
    char text[64] = "";
    size_t n = 0;
    unsigned long long bytes = 0, value = 0;
    for (ssize_t got;
         n < sizeof text - 1 && (got = recv(fd, text + n, sizeof text - 1 - n, 0)) > 0;)
        n += (size_t)got;
    if (sscanf(text, "%llu %llu", &bytes, &value) != 2 || bytes != s->bytes || value != s->value) {
        fprintf(stderr, "transfer: sent %llu bytes, checksum %llu; the answer is: %s\n",
                (unsigned long long)s->bytes, (unsigned long long)s->value, text);
        exit(1);
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 88172645463325252u;
    if (argc == 2 && !strcmp(argv[1], "sink"))
        sink();
    if (argc != 5 || strcmp(argv[1], "send") != 0) {
        fprintf(stderr, "usage: transfer sink | transfer send HOST PORT BYTES\n");
        return 2;
    }
    for (size_t i = 0; i < BLOCK / WORD; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        block[i] = seed;
    }
    struct sum s = {0, 0};
    int fd = connect_to(argv[2], (int)strtol(argv[3], NULL, 10));
    double begin = now();
    send_all(fd, &s, strtoull(argv[4], NULL, 10));
    read_answer(fd, &s);
    double seconds = now() - begin;
    printf("bytes=%llu seconds=%.6f rate=%.1f\n", (unsigned long long)s.bytes, seconds,
           (double)s.bytes / seconds / 1e6);
    return 0;
}
