/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/http.h"

#include "proto/base/memory.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { HEADERS_MAX = 8192, TIMEOUT_S = 10, BACKLOG = 64 };

struct http {
    struct evhttp *server;
    struct http_pages pages;
};

static const char plain[] = "text/plain; charset=utf-8";

static void reply(struct evhttp_request *r, int code, const char *reason,
                  const char *type, const void *body, size_t len)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(r);
    struct evbuffer *buffer = evbuffer_new();
    char length[24];

    if (buffer == NULL) {
        evhttp_send_error(r, 503, NULL);
        return;
    }
    snprintf(length, sizeof length, "%zu", len);
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "Content-Length", length);
    if (evhttp_request_get_command(r) != EVHTTP_REQ_HEAD)
        evbuffer_add(buffer, body, len);
    evhttp_send_reply(r, code, reason, buffer);
    evbuffer_free(buffer);
}

static void reply_text(struct evhttp_request *r, int code, const char *reason,
                       const char *text)
{
    reply(r, code, reason, plain, text, strlen(text));
}

/* False once the request was refused. */
static bool only_reads(struct evhttp_request *r)
{
    enum evhttp_cmd_type command = evhttp_request_get_command(r);

    if (command == EVHTTP_REQ_GET || command == EVHTTP_REQ_HEAD)
        return true;
    evhttp_add_header(evhttp_request_get_output_headers(r), "Allow", "GET, HEAD");
    reply_text(r, 405, "Method Not Allowed", "only GET and HEAD are answered here\n");
    return false;
}

static void on_metrics(struct evhttp_request *r, void *arg)
{
    struct http *h = arg;
    struct writer page;

    if (!only_reads(r))
        return;
    page = writer_growing();
    h->pages.metrics(h->pages.ctx, &page);
    if (page.failed)
        reply_text(r, 503, "Service Unavailable", "no memory\n");
    else
        reply(r, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", page.data,
              page.len);
    writer_release(&page);
}

static void tell(struct evhttp_request *r, bool good, const char *why)
{
    char text[192];

    snprintf(text, sizeof text, "%s\n", good ? "ok" : why);
    if (good)
        reply_text(r, 200, "OK", text);
    else
        reply_text(r, 503, "Service Unavailable", text);
}

static void on_health(struct evhttp_request *r, void *arg)
{
    struct http *h = arg;
    char why[160] = "";

    if (only_reads(r))
        tell(r, h->pages.healthy(h->pages.ctx, why), why);
}

static void on_ready(struct evhttp_request *r, void *arg)
{
    struct http *h = arg;
    char why[160] = "";

    if (only_reads(r))
        tell(r, h->pages.ready(h->pages.ctx, why), why);
}

static void on_other(struct evhttp_request *r, void *arg)
{
    if (only_reads(r))
        reply_text(
            r, 404, "Not Found",
            "there are /metrics, /healthz and /readyz; clients use another port\n");
}

struct http *http_new(struct event_base *base, int fd, const struct http_pages *pages)
{
    struct http *h;

    if (listen(fd, BACKLOG) != 0)
        return NULL;
    h = must_zalloc(sizeof *h);
    h->pages = *pages;
    h->server = evhttp_new(base);
    if (h->server == NULL || evhttp_accept_socket(h->server, fd) != 0) {
        http_free(h);
        return NULL;
    }
    evhttp_set_max_headers_size(h->server, HEADERS_MAX);
    evhttp_set_max_body_size(h->server, 0);
    evhttp_set_timeout(h->server, TIMEOUT_S);
    evhttp_set_allowed_methods(h->server, 0xffff);
    evhttp_set_cb(h->server, "/metrics", on_metrics, h);
    evhttp_set_cb(h->server, "/healthz", on_health, h);
    evhttp_set_cb(h->server, "/readyz", on_ready, h);
    evhttp_set_gencb(h->server, on_other, h);
    return h;
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    if (h->server != NULL)
        evhttp_free(h->server);
    free(h);
}
