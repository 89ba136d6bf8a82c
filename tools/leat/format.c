/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/format.h"

#include "tools/leat/output.h"

#include <stdlib.h>
#include <string.h>

static const char letters[] = "tpokvhTds";

static char escaped(char c)
{
    switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case '0': return '\0';
    default: return c;
    }
}

static bool add_part(struct format *f, char what, const char *text, size_t len,
                     char why[static 160])
{
    if (len == 0 && what == 0)
        return true;
    if (f->count == FORMAT_PARTS_MAX) {
        snprintf(why, 160, "the format has more than %d parts", FORMAT_PARTS_MAX);
        return false;
    }
    f->parts[f->count].what = what;
    f->parts[f->count].text = text;
    f->parts[f->count].len = len;
    f->count++;
    return true;
}

bool format_compile(struct format *f, const char *text, char why[static 160])
{
    char *out, *literal;

    *f = (struct format){.memory = malloc(strlen(text) + 1)};
    if (f->memory == NULL) {
        snprintf(why, 160, "out of memory");
        return false;
    }
    out = literal = f->memory;
    for (; *text != '\0'; text++) {
        if (*text == '\\' && text[1] != '\0') {
            *out++ = escaped(*++text);
        } else if (*text != '%') {
            *out++ = *text;
        } else if (text[1] == '%') {
            *out++ = *++text;
        } else if (text[1] != '\0' && strchr(letters, text[1]) != NULL) {
            if (!add_part(f, 0, literal, (size_t)(out - literal), why) ||
                !add_part(f, *++text, NULL, 0, why))
                return false;
            literal = out;
        } else {
            snprintf(why, 160, "unknown format '%%%c' (see: leat help consume)", text[1]);
            return false;
        }
    }
    return add_part(f, 0, literal, (size_t)(out - literal), why);
}

void format_release(struct format *f)
{
    free(f->memory);
    f->memory = NULL;
}

static void print_bytes(leat_bytes bytes, FILE *to, bool safe)
{
    const unsigned char *p = bytes.data;

    if (!safe) {
        if (bytes.len > 0)
            fwrite(p, 1, bytes.len, to);
        return;
    }
    for (size_t n = 0; n < bytes.len; n++)
        if (p[n] < 0x20 ? p[n] == '\t' : p[n] != 0x7f && !(p[n] >= 0x80 && p[n] < 0xa0))
            fputc(p[n], to);
        else
            fprintf(to, "\\x%02x", p[n]);
}

static void print_headers(const leat_record *r, FILE *to, bool safe)
{
    for (size_t n = 0; n < r->header_count; n++) {
        if (n > 0)
            fputc(',', to);
        print_bytes(r->headers[n].name, to, safe);
        fputc('=', to);
        print_bytes(r->headers[n].value, to, safe);
    }
}

bool format_print(const struct format *f, const leat_record *r, FILE *to, bool safe)
{
    char time[32];

    for (size_t n = 0; n < f->count; n++) {
        switch (f->parts[n].what) {
        case 0: fwrite(f->parts[n].text, 1, f->parts[n].len, to); break;
        case 't': fputs(r->topic, to); break;
        case 'p': fprintf(to, "%d", r->partition); break;
        case 'o': fprintf(to, "%lld", (long long)r->offset); break;
        case 'k': print_bytes(r->key, to, safe); break;
        case 'v': print_bytes(r->value, to, safe); break;
        case 'h': print_headers(r, to, safe); break;
        case 'T': fputs(time_text(r->timestamp_ms, time), to); break;
        case 'd': fprintf(to, "%lld", (long long)r->timestamp_ms); break;
        case 's': fprintf(to, "%zu", r->value.len); break;
        }
    }
    return !ferror(to);
}

static void json_bytes(const char *key, leat_bytes bytes)
{
    printf(",\"%s\":", key);
    if (bytes.data == NULL)
        fputs("null", stdout);
    else
        json_string(bytes.data, bytes.len);
}

bool format_json(const leat_record *r)
{
    fputs("{\"topic\":", stdout);
    json_string(r->topic, strlen(r->topic));
    printf(",\"partition\":%d,\"offset\":%lld,\"timestamp_ms\":%lld", r->partition,
           (long long)r->offset, (long long)r->timestamp_ms);
    json_bytes("key", r->key);
    json_bytes("value", r->value);
    if (r->header_count > 0) {
        fputs(",\"headers\":[", stdout);
        for (size_t n = 0; n < r->header_count; n++) {
            fputs(n > 0 ? ",{\"name\":" : "{\"name\":", stdout);
            json_string(r->headers[n].name.data, r->headers[n].name.len);
            json_bytes("value", r->headers[n].value);
            fputc('}', stdout);
        }
        fputc(']', stdout);
    }
    fputs("}\n", stdout);
    return !ferror(stdout);
}
