/* A clock that is off by the seconds that stand in the file CLOCK_OFFSET_FILE: preloaded, it is between the gateway and
 * the C library, so that the program is the one that ships. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, at);
    const char *path = getenv("CLOCK_OFFSET_FILE");
    FILE *file;
    if (result == 0 && clock == CLOCK_REALTIME && path && (file = fopen(path, "r"))) {
        long long seconds = 0;
        if (fscanf(file, "%lld", &seconds) == 1) at->tv_sec += seconds;
        fclose(file);
    }
    return result;
}
