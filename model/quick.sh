# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# What check-model.sh searches: each model as the code is, then what must be found wrong.

sound lane -DOWNERS=3 -DLAST=11
sound lane -DOWNERS=2 -DLAST=14 -DSINGLES
wrong HEADER_FIRST lane -DOWNERS=2 -DLAST=10
wrong NO_END_WORD lane -DOWNERS=2 -DLAST=12
wrong BATCH_AT_ONCE lane -DOWNERS=2 -DLAST=10
wrong NOTE_STAGED lane -DOWNERS=2 -DLAST=10
wrong TRUST_CLOCK lane -DOWNERS=2 -DLAST=10

sound join
sound join -DRESTARTS=1 -DLAST=5
sound join -DJOINERS=2 -DCONSUMER_KILLS=1 -DLAST=4 -DMORE=0
sound join -DOWNERS=2 -DKILLS=1 -DLAST=4
wrong ANNOUNCE_AFTER_ASKING join
wrong NO_OWNER_FENCE join
wrong NO_JOINER_FENCE join
wrong NO_SECOND_LOOK join
wrong NO_READY_LOOK join
wrong POSITION_FIRST join
wrong NO_CLEAR join -DJOINERS=2
wrong GRANT_INHERITED join -DOWNERS=2 -DKILLS=1 -DLAST=5

sound observe -DLAST=10
wrong NO_LOOK observe
wrong LOOK_FIRST observe
wrong ANNOUNCE_LATE observe
wrong POSITION_FIRST observe
wrong NO_WALK_LOOK observe

sound places
sound places -DPEERS=3 -DTRIES=1 -DKILLS=0
wrong NO_EPOCH places
wrong SKIP_LOCK places
wrong LOCK_LATE places
wrong TRUST_CLOCK places
wrong BLIND_BURIAL places
wrong NO_CLAIM_OVER places

sound evict -DLAST=5 -DCHANGES=2 -DSTOPS=0
sound evict -DLAST=5 -DCHANGES=1
sound evict -DLAST=5 -DCHANGES=2 -DSTOPS=0 -DLIMIT=1
wrong LIMIT_LATE evict -DLAST=5 -DCHANGES=2 -DSTOPS=0 -DLIMIT=1
wrong ONE_CAS evict -DLAST=5 -DCHANGES=2 -DSTOPS=0 -DLIMIT=1
wrong STALE_LOOK evict -DLAST=5 -DCHANGES=2 -DSTOPS=0 -DLIMIT=1
wrong NO_SUSPECT evict -DLAST=5 -DCHANGES=4 -DSTOPS=0
wrong NO_LOOK_AT_RELEASE evict -DLAST=5 -DCHANGES=4 -DSTOPS=0
wrong LOOK_TOO_EARLY evict -DLAST=5 -DCHANGES=2 -DSTOPS=0
wrong STALE_WORD evict -DLAST=5 -DCHANGES=4 -DSTOPS=0
wrong NO_SECOND_LOOK evict -DLAST=5 -DCHANGES=4 -DSTOPS=0

sound names -DCHANGES=1
sound names -DHOLDERS=3 -DKILLS=2 -DSTARTS=0
sound names -DSTARTS=0 -DCHANGES=2 -DEND=6
sound names -DSTARTS=0 -DFORGET
wrong CURSOR_BEFORE_MARK names -DSTARTS=0
wrong ONE_MARK names -DSTARTS=0
wrong DETACHED_BY_SETUP names -DSTARTS=0 -DEND=7
wrong LATEST_FIRST names
wrong PLACE_ANYWAY names -DCHANGES=1
wrong SEQ_LATE names
wrong KEEP_EPOCH names -DSTARTS=0 -DFORGET
wrong NO_NAME_LOCK names

sound doorbell-messages -DCONSUMERS=1 -DKILLS=2
sound doorbell-messages -DPRODUCERS=1 -DKILLS=1
sound doorbell-messages -DPRODUCERS=1 -DMESSAGES=2
sound doorbell-messages -DCONSUMERS=1 -DMESSAGES=2 -DFENCE
sound doorbell-messages -DCONSUMERS=1 -DMESSAGES=2 -DMIXED
sound doorbell-messages -DCONSUMERS=1 -DMESSAGES=2 -DWATERMARK=2
sound doorbell-messages -DPRODUCERS=1 -DMESSAGES=2 -DWATERMARK=2
sound doorbell-messages -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=4 -DWATERMARK=2 -DKILLS=1
wrong KEEP_BIT doorbell-messages -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=3 -DWATERMARK=2
wrong KEEP_MARKS doorbell-messages -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=3 -DWATERMARK=2
wrong TAKE_ALL doorbell-messages -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=3 -DWATERMARK=2
wrong NO_BARRIER doorbell-messages -DCONSUMERS=1
wrong NO_WAKER_FENCE doorbell-messages -DCONSUMERS=1 -DFENCE
wrong BELL_LATE doorbell-messages -DCONSUMERS=1
wrong LOOK_FIRST doorbell-messages -DCONSUMERS=1
wrong MASK_LAST doorbell-messages
wrong NO_BELL doorbell-messages -DCONSUMERS=1

sound doorbell-room -DCONSUMERS=1 -DKILLS=1 -DMESSAGES=7
sound doorbell-room -DCONSUMERS=1 -DMESSAGES=7 -DFENCE
sound doorbell-room -DMESSAGES=4 -DSIZE=2 -DQUARTER=1 -DLEAVES=false
wrong NO_BARRIER doorbell-room -DCONSUMERS=1
wrong NO_WAKER_FENCE doorbell-room -DCONSUMERS=1 -DFENCE
wrong BELL_LATE doorbell-room -DCONSUMERS=1
wrong LOOK_FIRST doorbell-room -DCONSUMERS=1
wrong SILENT_LEAVE doorbell-room -DCONSUMERS=1

sound keeper
sound keeper -DROOM=2
wrong DROP_WORDS keeper
wrong ANSWER_EARLY keeper
wrong NAME_FIRST keeper
wrong TWO_AT_ONCE keeper
wrong NO_COMMIT keeper
wrong NO_WAIT keeper
wrong NO_RENEW keeper
