// SPDX-License-Identifier: Apache-2.0
#include "conntrack_worker.h"

#include <linux/filter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <cstring>

#include "netns.h"

namespace rf
{

namespace
{

constexpr int kEveryMs = 1000;

uint64_t MonotonicNs()
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

/*
 * What nobody translates never enters the socket's queue: a busy host that forwards without translation would fill it
 * for nothing. A message without a status is let in, and sorted out by the parser.
 */
void FilterTranslated(int fd)
{
	constexpr uint32_t kAttributes = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	constexpr uint32_t kFind = static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_NLATTR);
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_IMM, kAttributes),
		BPF_STMT(BPF_LDX | BPF_IMM, CTA_STATUS),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFind),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, sizeof(struct nlattr)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, IPS_SRC_NAT | IPS_DST_NAT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		throw Fault::Sys("RF_NETLINK", "filter the events of ctnetlink", errno, "setsockopt(SO_ATTACH_FILTER)");
}

Fd OpenNetfilter(int flags)
{
	Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_NETFILTER));
	if (!fd.valid())
		throw Fault::Sys("RF_NETLINK", "open ctnetlink", errno, "socket");
	return fd;
}

} // namespace

ConntrackWorker::ConntrackWorker(const ConntrackConfig &config) : config_(config)
{
	for (uint32_t slot = config.batches; slot-- > 0;)
		free_.push_back(slot);
	for (uint32_t slot = 0; slot < config.batches; slot++)
		blocks_.push_back(std::shared_ptr<ConntrackRecord[]>(new ConntrackRecord[config.batch_records]));
	InNetns(config.netns, [&] { Subscribe(); });
}

ConntrackWorker::~ConntrackWorker()
{
	if (thread_.running()) {
		RequestStop();
		Join();
	}
}

void ConntrackWorker::Subscribe()
{
	events_ = OpenNetfilter(SOCK_NONBLOCK);
	dumps_ = OpenNetfilter(0);
	auto room = static_cast<int>(config_.receive_bytes);
	/* Forcing takes CAP_NET_ADMIN, as the subscription below does; else the machine's bound holds. */
	if (setsockopt(events_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(events_.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	FilterTranslated(events_.get());
	struct sockaddr_nl address = {};
	address.nl_family = AF_NETLINK;
	if (bind(events_.get(), reinterpret_cast<struct sockaddr *>(&address), sizeof(address)) < 0)
		throw Fault::Sys("RF_NETLINK", "bind to ctnetlink", errno, "bind");
	for (int group : {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_DESTROY}) {
		if (setsockopt(events_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			throw Fault::Sys("RF_NETLINK", "subscribe to the events of ctnetlink", errno,
					 "setsockopt(NETLINK_ADD_MEMBERSHIP)");
	}
}

void ConntrackWorker::Start(Emit emit, std::function<void()> ended)
{
	emit_ = std::move(emit);
	ended_ = std::move(ended);
	thread_.Start("rf-conntrack", "RF_NETLINK", [this] { Run(); });
}

void ConntrackWorker::Release(uint32_t slot)
{
	{
		std::lock_guard<std::mutex> lock(mutex_);
		free_.push_back(slot);
	}
	freed_.notify_one();
}

void ConntrackWorker::RequestDump(uint64_t token)
{
	{
		std::lock_guard<std::mutex> lock(mutex_);
		tokens_.push_back(token);
	}
	wake_.Poke();
}

void ConntrackWorker::RequestStop()
{
	{
		std::lock_guard<std::mutex> lock(mutex_);
		stop_.store(true);
	}
	freed_.notify_one();
	wake_.Poke();
}

void ConntrackWorker::Join()
{
	thread_.Join();
}

ConntrackWorker::Counters ConntrackWorker::Count() const
{
	return {records_.load(), overruns_.load(), passed_over_.load()};
}

/* Whether events are there. */
bool ConntrackWorker::Sleep(int timeout_ms, bool hear_events)
{
	struct pollfd watched[2] = {{wake_.fd(), POLLIN, 0}, {events_.get(), POLLIN, 0}};
	if (poll(watched, hear_events ? 2 : 1, timeout_ms) <= 0)
		return false;
	if (watched[0].revents)
		wake_.Take();
	return hear_events && watched[1].revents;
}

/* Waits for a slot to fill; false when the reader is to stop first. */
bool ConntrackWorker::TakeSlot()
{
	std::unique_lock<std::mutex> lock(mutex_);
	freed_.wait(lock, [this] { return !free_.empty() || stop_.load(); });
	if (stop_.load())
		return false;
	filling_ = free_.back();
	free_.pop_back();
	filled_ = 0;
	return true;
}

void ConntrackWorker::Put(const ConntrackRecord &record)
{
	if (filling_ < 0 && !TakeSlot())
		return;
	blocks_[static_cast<size_t>(filling_)][filled_++] = record;
	Add(records_);
	if (filled_ == config_.batch_records)
		EmitFilled();
}

void ConntrackWorker::EmitFilled()
{
	if (filling_ < 0)
		return;
	auto slot = static_cast<uint32_t>(filling_);
	filling_ = -1;
	emit_({ConntrackMessage::kBatch, slot, filled_, 0, 0});
}

void ConntrackWorker::TakeMessages(const uint8_t *bytes, size_t size, bool dump, bool &done, int &err)
{
	uint64_t now = MonotonicNs();
	auto left = static_cast<unsigned int>(size);
	auto *message = reinterpret_cast<const struct nlmsghdr *>(bytes);
	for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
		if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
			done = true;
			if (message->nlmsg_len >= NLMSG_LENGTH(sizeof(int))) {
				int code;
				memcpy(&code, NLMSG_DATA(message), sizeof(code));
				err = code < 0 ? -code : 0;
			}
			return;
		}
		ConntrackRecord record = {};
		if (!ParseConntrack(message, record)) {
			Add(passed_over_);
			continue;
		}
		bool gone = (message->nlmsg_type & 0xff) == IPCTNL_MSG_CT_DELETE;
		ConntrackKind kind = dump ? ConntrackKind::kListed : gone ? ConntrackKind::kGone : ConntrackKind::kNew;
		record.kind = static_cast<uint8_t>(kind);
		record.at_ns = now;
		Put(record);
	}
}

void ConntrackWorker::DrainEvents()
{
	while (!stop_.load()) {
		ssize_t got = recv(events_.get(), buffer_.data(), buffer_.size(), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == ENOBUFS) {
			/* What is in the queue still comes; what did not fit is missing after it, so this is said too
			 * early rather than too late: a dump that is asked for now begins after all of it. */
			Add(overruns_);
			EmitFilled();
			emit_({ConntrackMessage::kLost, 0, 0, 0, 0});
			continue;
		}
		if (got < 0)
			break;
		bool done = false;
		int err = 0;
		TakeMessages(buffer_.data(), static_cast<size_t>(got), false, done, err);
	}
	EmitFilled();
}

/* All translated connections that the kernel has. A positive errno, or 0. */
int ConntrackWorker::Dump()
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg body;
	} request = {};
	request.header.nlmsg_len = sizeof(request);
	request.header.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
	request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request.body.nfgen_family = AF_UNSPEC;
	request.body.version = NFNETLINK_V0;
	if (send(dumps_.get(), &request, sizeof(request), 0) < 0)
		return errno;
	bool done = false;
	int err = 0;
	/* Also when the reader is to stop: an unfinished dump would stay on the socket. */
	while (!done) {
		ssize_t got = recv(dumps_.get(), buffer_.data(), buffer_.size(), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		TakeMessages(buffer_.data(), static_cast<size_t>(got), true, done, err);
		if (stop_.load())
			break;
	}
	EmitFilled();
	return err;
}

void ConntrackWorker::Run()
{
	while (!stop_.load()) {
		std::vector<uint64_t> tokens;
		{
			std::lock_guard<std::mutex> lock(mutex_);
			tokens.swap(tokens_);
		}
		for (uint64_t token : tokens) {
			/* What was there before the dump comes before it: an end that it reports is not undone by a
			 * later, older beginning. */
			DrainEvents();
			int err = Dump();
			emit_({ConntrackMessage::kDumped, 0, 0, token, err});
		}
		/* The rest of a burst is read with its first. */
		if (Sleep(tokens.empty() ? kEveryMs : 0, true)) {
			if (config_.delay_ms > 0)
				Sleep(static_cast<int>(config_.delay_ms), false);
			DrainEvents();
		}
	}
	ended_();
}

} // namespace rf
