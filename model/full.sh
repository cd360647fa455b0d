# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# What check-model.sh searches at length: larger runs of the models of quick.sh.

sound lane -DOWNERS=3 -DLAST=13
sound lane -DOWNERS=3 -DLAST=17 -DSINGLES
sound join -DOWNERS=2 -DKILLS=1
sound join -DJOINERS=2 -DCONSUMER_KILLS=1 -DKILLS=1 -DOWNERS=2 -DLAST=5
sound join -DSLOTS=2 -DJOINERS=2 -DLAST=5
sound observe
sound observe -DOWNERS=3 -DKILLS=2
sound places -DPEERS=3
sound places -DKILLS=3 -DTRIES=3
sound evict -DLAST=6 -DCHANGES=2
sound evict -DLAST=6 -DCHANGES=4
sound evict -DLAST=7 -DCHANGES=5
sound evict -DLAST=5 -DCHANGES=3 -DSTOPS=0 -DLIMIT=1
sound evict -DLAST=5 -DCHANGES=2 -DLIMIT=1
sound names -DHOLDERS=3 -DKILLS=2 -DCHANGES=3 -DSTARTS=2 -DEND=6
sound names -DHOLDERS=3 -DKILLS=2 -DCHANGES=2 -DFORGET
sound doorbell-messages
sound doorbell-messages -DKILLS=2
sound doorbell-messages -DMIXED
sound doorbell-messages -DFENCE
sound doorbell-room -DKILLS=1
sound doorbell-room -DFENCE
sound doorbell-room -DSPAN=2 -DMESSAGES=8 -DQUARTER=1

sound keeper -DKILLS=3
sound keeper -DUPGRADES=2 -DKILLS=1
sound keeper -DOPS=4 -DKEEPERS=3
