/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/mark.h"

#ifdef LEAT_PLANTS
struct mark *marks;
int plant_chosen;

void mark_hit(struct mark *m)
{
    if (m->hits++ > 0)
        return;
    m->next = marks;
    marks = m;
}
#endif
