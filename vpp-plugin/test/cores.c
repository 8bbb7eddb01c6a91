/* Lets VPP start more workers than this machine has cores: maps core n to n modulo the cores that there are. VPP demands one core
 * a thread. For tests of correctness only; preloaded into VPP, which also sees a file that lists more cores. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

int
pthread_setaffinity_np (pthread_t thread, size_t size, const cpu_set_t *wanted)
{
  int (*real) (pthread_t, size_t, const cpu_set_t *) = dlsym (RTLD_NEXT, "pthread_setaffinity_np");
  long cores = sysconf (_SC_NPROCESSORS_CONF);
  cpu_set_t mapped;

  CPU_ZERO (&mapped);
  for (int core = 0; core < CPU_SETSIZE; core++)
    if (CPU_ISSET (core, wanted))
      CPU_SET (core % cores, &mapped);
  return real (thread, size, &mapped);
}
