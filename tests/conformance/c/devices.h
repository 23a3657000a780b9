/* What scenarios with GPU memory share. */
#ifndef DEVICES_H
#define DEVICES_H

#include "conformance.h"

/* Ends the program: this machine cannot do it. */
void skip(const char *why);
/* A context that may use every device; skips where there is none whose memory can be shared. */
lava_context *new_device_context(void);

#endif
