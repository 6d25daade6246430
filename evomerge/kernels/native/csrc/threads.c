#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "types.h"

/* The threads beside the calling one. A merge is hundreds of passes of a fraction of a millisecond, so threads look for
 * the next one for a while before they sleep. */
#define LOOKS 200

typedef void (*pass_t)(void *);

static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER, lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static int64_t round_;      /* counts the passes that threads were asked for */
static int started, wanted, running;
static pass_t current;
static void **jobs_;

static void *serve(void *number) {
    int64_t seen = 0;
    for (;;) {
        for (int look = 0; look < LOOKS && __atomic_load_n(&round_, __ATOMIC_ACQUIRE) == seen; look++) sched_yield();
        pthread_mutex_lock(&lock);
        while (round_ == seen) pthread_cond_wait(&wake, &lock);
        seen = round_;
        void *job = (intptr_t)number < wanted ? jobs_[(intptr_t)number] : NULL;
        pass_t pass = current;
        if (job) __atomic_fetch_add(&running, 1, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&lock);
        if (!job) continue;
        pass(job);
        __atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* The threads of a process do not exist in one that was forked from it. */
static void forget(void) {
    pthread_mutex_init(&busy, NULL);
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&wake, NULL);
    started = running = wanted = 0;
    round_ = 0;
}

static void start(int threads) {
    static int registered;
    if (!registered) registered = pthread_atfork(NULL, NULL, forget) == 0;
    pthread_t thread;
    while (started < threads && pthread_create(&thread, NULL, serve, (void *)(intptr_t)started) == 0) {
        pthread_detach(thread);
        started++;
    }
}

/* Calls a pass from this thread and from others with a job each; one caller at a time gets them. Jobs share their work, so
 * what has not woken up when the work is done is not waited for. */
void evomerge_run(pass_t pass, void **jobs, int count) {
    int others = 0;
    if (count > 1 && pthread_mutex_trylock(&busy) == 0) {
        start(count - 1);
        others = count - 1 < started ? count - 1 : started;
        pthread_mutex_lock(&lock);
        current = pass;
        jobs_ = jobs;
        wanted = others;
        __atomic_fetch_add(&round_, 1, __ATOMIC_RELEASE);
        pthread_cond_broadcast(&wake);
        pthread_mutex_unlock(&lock);
        pass(jobs[count - 1]);
        pthread_mutex_lock(&lock);
        wanted = 0;
        pthread_mutex_unlock(&lock);
        for (int look = 0; __atomic_load_n(&running, __ATOMIC_ACQUIRE); look++)
            look < LOOKS ? (void)sched_yield() : (void)usleep(50);
        pthread_mutex_unlock(&busy);
        return;
    }
    pass(jobs[0]);
}
