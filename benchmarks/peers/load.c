/* The load: members of one room, of whom some speak, and what came of it.
 *
 *     load PROTOCOL PORT MEMBERS SENDERS [PASSWORD]
 *     load handshakes PORT CONNECTIONS
 *
 * PROTOCOL: lab (stage 1), login (stage 2), sealed (stage 3), nats, mqtt, irc; lab-tls and so on: the same in TLS 1.3,
 * with whatever certificate there is. `handshakes`: connections in TLS, one after the other.
 *
 * Prints "ready" when all are in the room. Then for each line that it is given, "IN_FLIGHT RATE SECONDS": that many
 * messages under way in the room at any time, or, where RATE is not 0, so many deliveries a second whatever comes of
 * them. It warms up, prints "begin", after SECONDS one line of JSON (deliveries, seconds, latency in microseconds), and
 * "quiet" when what was under way has come.
 *
 * Every message is equally long, so that what was delivered is counted in bytes, which costs nothing; one member reads
 * what is written in it: when it was sent.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 20, BODY = 100, STAMP = 17, PENDING = 1 << 22, QUIET_MS = 200, SAMPLES = 1 << 22, AT_ONCE = 250 };
static const double WARM_SECONDS = 0.5;

static const char *password = "";
static char protocol[16];
static int loop, members, senders, *sockets;
static SSL_CTX *tls;
static SSL **sessions;
static char buffer[CHUNK + 1], body[BODY + 1];
static size_t size;  /* of a message as it is delivered */
static size_t stamp; /* where in it its time stands */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "load: %s (%s)\n", what, errno ? strerror(errno) : "nothing came");
    exit(1);
}

static int is(const char *name) { return !strcmp(protocol, name); }

static ssize_t blocked(SSL *session, int result) {
    int why = SSL_get_error(session, result);
    if (why == SSL_ERROR_ZERO_RETURN) return 0;
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
    return -1;
}

/* send and recv for member i; where there is TLS, through it. */
static ssize_t give(int i, const char *data, size_t length) {
    if (!tls) return send(sockets[i], data, length, MSG_NOSIGNAL);
    int sent = SSL_write(sessions[i], data, (int)length);
    return sent > 0 ? sent : blocked(sessions[i], sent);
}

static ssize_t take(int i, char *data, size_t length) {
    if (!tls) return recv(sockets[i], data, length, 0);
    size_t have = 0; /* all there is: what TLS holds decrypted already, epoll does not tell of */
    for (int got; have < length; have += (size_t)got)
        if ((got = SSL_read(sessions[i], data + have, (int)(length - have))) <= 0) {
            ssize_t end = blocked(sessions[i], got);
            return have ? (ssize_t)have : end;
        }
    return (ssize_t)have;
}

static void send_all(int i, const char *data, size_t length) {
    while (length) {
        ssize_t sent = give(i, data, length);
        if (sent < 0 && errno != EAGAIN) fail("a member could not send");
        if (sent > 0) data += sent, length -= (size_t)sent;
    }
}

/* Wait until what comes has this in it; a member is inside then. */
static void wait_for(int i, const char *mark) {
    size_t have = 0;
    for (;;) {
        struct pollfd ready = {.fd = sockets[i], .events = POLLIN};
        poll(&ready, 1, 10000);
        ssize_t got = take(i, buffer + have, CHUNK - have);
        if (got < 0 && errno == EAGAIN && ready.revents) continue;
        if (got <= 0) fail("a member was not let in");
        have += (size_t)got, buffer[have] = 0;
        if (memmem(buffer, have, mark, strlen(mark))) return;
        if (have > CHUNK / 2) memmove(buffer, buffer + have - 64, 64), have = 64;
    }
}

static void connect_to(int i, const struct sockaddr_in *address) {
    int fd = sockets[i] = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address)) fail("cannot connect");
    if (tls) {
        sessions[i] = SSL_new(tls);
        SSL_set_fd(sessions[i], fd);
        SSL_set_tlsext_host_name(sessions[i], "server.lab.test");
        if (SSL_connect(sessions[i]) != 1) fail("TLS did not come about");
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void greet(int i, const struct sockaddr_in *address) {
    connect_to(i, address);
    char hello[1024];
    int n = 0;
    if (is("lab"))
        n = sprintf(hello, "{\"type\":\"join\",\"name\":\"m%05d\",\"udp_port\":9}\n", i);
    else if (is("login") || is("sealed"))
        n = sprintf(hello, "{\"type\":\"login\",\"name\":\"m%05d\",\"password\":\"%s\",\"udp_port\":9}\n", i, password);
    else if (is("nats"))
        n = sprintf(hello, "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\nSUB room 1\r\nPING\r\n");
    else if (is("irc"))
        n = sprintf(hello, "NICK m%05d\r\nUSER m%05d 0 * :m\r\n", i, i);
    else { /* MQTT 3.1.1: CONNECT with a clean session, then SUBSCRIBE to room with QoS 0 */
        static const char connect_head[] = "\x10\x12\0\4MQTT\4\2\0\0\0\6", subscribe[] = "\x82\x09\0\1\0\4room\0";
        memcpy(hello, connect_head, 14), n = 14 + sprintf(hello + 14, "m%05d", i);
        memcpy(hello + n, subscribe, 11), n += 11;
    }
    send_all(i, hello, (size_t)n);
}

static void enter(int i) {
    if (is("irc")) {
        wait_for(i, " 001 ");
        send_all(i, "JOIN #room\r\n", 12);
    }
    wait_for(i, is("nats") ? "PONG" : is("irc") ? " 366 " : is("mqtt") ? "\x90\3" : "\"roster\"");
}

/* A message of this sender's, as it is sent: its time stands in it, 16 digits behind a T. */
static size_t message(int i, char *to) {
    sprintf(body, "T%016llx", (unsigned long long)(now() * 1e9)), body[STAMP] = 'x';
    if (is("nats")) return (size_t)sprintf(to, "PUB room %d\r\n%s\r\n", BODY, body);
    if (is("irc")) return (size_t)sprintf(to, "PRIVMSG #room :%s\r\n", body);
    if (is("mqtt")) { /* PUBLISH, QoS 0; the remaining length takes one byte */
        memcpy(to, "\x30\x6a\0\4room", 8);
        memcpy(to + 8, body, BODY);
        return 8 + BODY;
    }
    if (is("sealed")) /* the stamp stands where base64 stands, and is some */
        return (size_t)sprintf(to,
            "{\"type\":\"say\",\"version\":1,\"kind\":\"room\",\"room\":\"lobby\",\"from\":\"m%05d\",\"counter\":[1,1],"
            "\"nonce\":\"AAAAAAAAAAAAAAAA\",\"ciphertext\":\"%s\"}\n", i, body);
    return (size_t)sprintf(to, "{\"type\":\"say\",\"from\":\"m%05d\",\"text\":\"%s\"}\n", i, body);
}

/* Read and forget until nothing has come for a while: everybody has heard of everybody. */
static void settle(size_t *heard) {
    struct epoll_event ready[512];
    int n;
    while ((n = epoll_wait(loop, ready, 512, QUIET_MS)) > 0)
        for (int k = 0; k < n; k++) {
            ssize_t got = take((int)ready[k].data.u32, buffer, CHUNK);
            if (!got) fail("a member was shown out");
            if (got > 0 && heard) heard[ready[k].data.u32] += (size_t)got;
        }
}

/* One message of member 0 tells how long one is, as it is delivered, and where its time stands. */
static void probe(void) {
    char data[1024];
    size_t *heard = calloc((size_t)members, sizeof *heard);
    int last = members - 1;
    struct epoll_event none = {.data.u32 = (unsigned)last};
    epoll_ctl(loop, EPOLL_CTL_DEL, sockets[last], NULL);
    send_all(0, data, message(0, data));
    settle(heard);
    ssize_t got = take(last, buffer, CHUNK);
    if (got <= 0) fail("a message was not delivered");
    buffer[got] = 0, size = (size_t)got;
    char *found = memmem(buffer, size, "T0", 2);
    if (!found) fail("a message has no time in it");
    stamp = (size_t)(found - buffer) + 1;
    for (int i = 1; i < last; i++)
        if (heard[i] != size) fail("not everybody heard the same");
    none.events = EPOLLIN;
    epoll_ctl(loop, EPOLL_CTL_ADD, sockets[last], &none);
    free(heard);
}

static double *samples;
static size_t sampled;

/* What the last member hears: when was each message sent? */
static void observe(const char *data, size_t length, int counting) {
    static char piece[1024];
    static size_t have;
    while (length) {
        size_t part = size - have < length ? size - have : length;
        memcpy(piece + have, data, part);
        have += part, data += part, length -= part;
        if (have == size && piece[stamp - 1] != 'T') { /* NATS asks now and then whether one is still there */
            memmove(piece, piece + 1, --have);
            continue;
        }
        if (have == size) {
            char digits[17] = {0};
            memcpy(digits, piece + stamp, 16);
            if (counting && sampled < SAMPLES) samples[sampled++] = now() - 1e-9 * (double)strtoull(digits, NULL, 16);
            have = 0;
        }
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static char *unsent[1024];
static size_t unsent_size[1024];

static void push(int i) {
    if (!unsent_size[i]) return;
    ssize_t sent = give(i, unsent[i], unsent_size[i]);
    if (sent < 0 && errno != EAGAIN) fail("a sender was shown out");
    if (sent > 0) memmove(unsent[i], unsent[i] + sent, unsent_size[i] -= (size_t)sent);
}

/* Read what has come to anybody, waiting for it so long at most: how many bytes. */
static unsigned long long hear(int wait_ms, int counting) {
    struct epoll_event ready[512];
    unsigned long long bytes = 0;
    int n = epoll_wait(loop, ready, 512, wait_ms);
    for (int k = 0; k < n; k++) {
        int i = (int)ready[k].data.u32;
        ssize_t got = take(i, buffer, CHUNK);
        if (!got || (got < 0 && errno != EAGAIN)) fail("a member was shown out");
        if (got < 0) continue;
        bytes += (unsigned long long)got;
        if (i == members - 1 && size) observe(buffer, (size_t)got, counting);
    }
    return bytes;
}

static void run(long in_flight, double rate, double seconds) {
    double each = members - 1 + is("mqtt"), begin = now(), warm = begin + WARM_SECONDS, end = warm + seconds, began = 0;
    unsigned long long bytes = 0, counted_from = 0, sent = 0, from = 0;
    int counting = 0, turn = 0, unfinished = 1;
    sampled = 0;
    for (double time = begin; time < end; time = now()) {
        if (!counting && time >= warm) {
            counting = 1, counted_from = bytes, began = time, from = sent;
            puts("begin"), fflush(stdout);
        }
        double allowed = rate > 0 ? (time - begin) * rate / each : (double)in_flight + (double)(bytes / size) / each;
        for (; (double)sent + 1 <= allowed; sent++, turn = (turn + 1) % senders) {
            if (unsent_size[turn] + 1024 > PENDING) break;
            unsent_size[turn] += message(turn, unsent[turn] + unsent_size[turn]);
        }
        for (int i = 0; i < senders; i++) push(i);
        bytes += hear(rate > 0 ? 0 : 1, counting);
    }
    double took = now() - began;
    qsort(samples, sampled, sizeof *samples, ascending);
    if (!sampled) samples[sampled++] = 0;
    printf("{\"deliveries\":%llu,\"messages\":%llu,\"seconds\":%.4f,\"bytes\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
        (bytes - counted_from) / size, sent - from, took, size, 1e6 * samples[sampled / 2],
        1e6 * samples[(size_t)((double)sampled * 0.99)]);
    fflush(stdout);
    while (hear(QUIET_MS, 0) || unfinished)
        for (int i = unfinished = 0; i < senders; i++) push(i), unfinished |= unsent_size[i] > 0;
    puts("quiet"), fflush(stdout);
}

static void start_tls(void) {
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    sessions = calloc((size_t)members, sizeof *sessions);
}

/* One handshake after the other; what the server makes of a connection that says nothing is not waited for. */
static int handshakes(const struct sockaddr_in *address) {
    double began = now();
    for (int i = 0; i < members; i++) {
        connect_to(i, address);
        SSL_free(sessions[i]), close(sockets[i]);
    }
    printf("{\"handshakes\":%d,\"seconds\":%.4f}\n", members, now() - began);
    return 0;
}

int main(int argc, char **argv) {
    int hands = argc > 1 && !strcmp(argv[1], "handshakes");
    if (argc < (hands ? 4 : 5)) {
        fputs("load PROTOCOL PORT MEMBERS SENDERS [PASSWORD]\n", stderr);
        return 2;
    }
    snprintf(protocol, sizeof protocol, "%s", argv[1]), members = atoi(argv[3]);
    char *secure = strstr(protocol, "-tls");
    if (secure || hands) start_tls();
    if (secure) *secure = 0;
    senders = hands ? 0 : atoi(argv[4]);
    if (argc > 5) password = argv[5];
    struct rlimit files = {20000, 20000};
    setrlimit(RLIMIT_NOFILE, &files);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockets = calloc((size_t)members, sizeof *sockets);
    if (hands) return handshakes(&address);
    memset(body, 'x', BODY);
    loop = epoll_create1(0);
    double began = now();
    for (int come = 0; come < members; come++) {
        greet(come, &address);
        if (come % AT_ONCE != AT_ONCE - 1 && come != members - 1) continue;
        for (int i = come - come % AT_ONCE; i <= come; i++) { /* InspIRCd lets people in once a second */
            enter(i);
            struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)i};
            epoll_ctl(loop, EPOLL_CTL_ADD, sockets[i], &event);
        }
        while (hear(0, 0)) continue; /* so that nobody's backlog grows while the others come */
    }
    double entered = now() - began;
    settle(NULL);
    probe();
    printf("ready %.4f\n", entered), fflush(stdout);
    samples = malloc(SAMPLES * sizeof *samples);
    for (int i = 0; i < senders; i++) unsent[i] = malloc(PENDING);
    long in_flight;
    for (double rate, seconds; scanf("%ld %lf %lf", &in_flight, &rate, &seconds) == 3;) run(in_flight, rate, seconds);
    return 0;
}
