/* Asks an HTTP server on this host whether it is healthy: `slipway-probe http://127.0.0.1:8080/health`.
 *
 * Ends with 0 when the server answers with a status from 200 to 399, as Kubernetes judges, and with 1 otherwise,
 * having said why. It resolves no names and follows no redirect: it speaks to 127.0.0.1 alone. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "http://127.0.0.1:"
#define SECONDS 10

static int fail(const char *what, const char *why) {
    printf("%s: %s\n", what, why);
    return 1;
}

static int send_all(int server, const char *bytes, size_t left) {
    while (left > 0) {
        ssize_t sent = send(server, bytes, left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return -1;
        bytes += sent;
        left -= (size_t)sent;
    }
    return 0;
}

/* Reads the status line: "HTTP/1.1 200 ...". */
static int status(int server) {
    char line[16];
    size_t got = 0;
    while (got < sizeof line - 1) {
        ssize_t read = recv(server, line + got, sizeof line - 1 - got, 0);
        if (read < 0 && errno == EINTR) continue;
        if (read <= 0) break;
        got += (size_t)read;
    }
    line[got] = 0;
    int code = 0;
    return sscanf(line, "HTTP/1.%*1[01] %3d", &code) == 1 ? code : -1;
}

int main(int count, char **arguments) {
    if (count != 2 || strncmp(arguments[1], HOST, sizeof HOST - 1) != 0)
        return fail("usage", "slipway-probe " HOST "PORT/PATH");
    char *path;
    unsigned long port = strtoul(arguments[1] + sizeof HOST - 1, &path, 10);
    if (port == 0 || port > 65535 || *path != '/') return fail(arguments[1], "no port from 1 to 65535 and a path");

    alarm(SECONDS); /* whatever happens: ends by signal */
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (server < 0 || connect(server, (struct sockaddr *)&address, sizeof address) < 0)
        return fail(arguments[1], strerror(errno));
    char head[4096];
    int length = snprintf(head, sizeof head,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%lu\r\nUser-Agent: slipway-probe\r\n"
                          "Accept: */*\r\nConnection: close\r\n\r\n",
                          path, port);
    if (length < 0 || (size_t)length >= sizeof head) return fail(arguments[1], "the path is too long");
    if (send_all(server, head, (size_t)length) < 0) return fail(arguments[1], strerror(errno));
    int code = status(server);
    if (code < 0) return fail(arguments[1], "the answer is not HTTP");
    printf("%s: %d\n", arguments[1], code);
    return code >= 200 && code < 400 ? 0 : 1;
}
