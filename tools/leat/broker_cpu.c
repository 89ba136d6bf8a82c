/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/broker_cpu.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The inode of the socket that listens on the port. */
static unsigned long listening_inode(const char *table, uint16_t port)
{
    FILE *f = fopen(table, "re");
    unsigned long inode = 0, found;
    unsigned local, state;
    char line[512];

    while (f != NULL && inode == 0 && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line,
                   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %lu",
                   &local, &state, &found) == 3 &&
            local == port && state == 0x0a)
            inode = found;
    if (f != NULL)
        fclose(f);
    return inode;
}

static bool has_socket(const char *pid, unsigned long inode)
{
    char path[64], wanted[64], target[64];
    bool found = false;
    struct dirent *entry;
    DIR *dir;

    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    snprintf(path, sizeof path, "/proc/%.16s/fd", pid);
    dir = opendir(path);
    while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);

        if (len > 0) {
            target[len] = '\0';
            found = strcmp(target, wanted) == 0;
        }
    }
    if (dir != NULL)
        closedir(dir);
    return found;
}

pid_t broker_pid(uint16_t port)
{
    unsigned long inode = listening_inode("/proc/net/tcp", port);
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    pid_t pid = 0;

    if (inode == 0)
        inode = listening_inode("/proc/net/tcp6", port);
    while (dir != NULL && inode != 0 && pid == 0 && (entry = readdir(dir)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]) && has_socket(entry->d_name, inode))
            pid = (pid_t)strtol(entry->d_name, NULL, 10);
    if (dir != NULL)
        closedir(dir);
    return pid;
}

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return fopen(path, "re");
}

uint64_t broker_cpu_us(pid_t pid)
{
    unsigned long long user = 0, system = 0;
    char line[1024];
    const char *after;
    FILE *f;

    if (pid == 0 || (f = open_proc(pid, "stat")) == NULL)
        return 0;
    /* The name in parentheses may hold anything. */
    if (fgets(line, sizeof line, f) != NULL && (after = strrchr(line, ')')) != NULL)
        sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
               &system);
    fclose(f);
    return (user + system) * 1000000 / (unsigned long long)sysconf(_SC_CLK_TCK);
}

uint64_t broker_resident_bytes(pid_t pid)
{
    unsigned long long pages = 0;
    FILE *f;

    if (pid == 0 || (f = open_proc(pid, "statm")) == NULL)
        return 0;
    if (fscanf(f, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}
