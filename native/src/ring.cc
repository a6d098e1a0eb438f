// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

#include "args.h"

namespace rf
{

namespace
{
constexpr uint32_t kMostRecordBytes = 1 << 16;
constexpr uint32_t kMostBatchBytes = 64 << 20;
constexpr uint32_t kMostFoldEntries = 1 << 24;

/* Pairs of offset and length. */
std::vector<FieldRange> FieldsOf(const Napi::Object &fold, const char *name, uint32_t record_bytes)
{
	Napi::Value value = fold.Get(name);
	if (!value.IsArray())
		throw Fault("RF_ARGUMENT", std::string("Cannot fold records: found no list ") + name +
						   ", wanted pairs of offset and length");
	auto list = value.As<Napi::Array>();
	std::vector<FieldRange> fields;
	for (uint32_t i = 0; i + 1 < list.Length(); i += 2) {
		FieldRange field = {ToU32(list.Get(i), name), ToU32(list.Get(i + 1), name)};
		if (field.bytes < 1 || field.offset >= record_bytes || field.bytes > record_bytes - field.offset)
			throw Fault("RF_ARGUMENT", std::string("Cannot fold records: found a field of ") + name +
							   " beyond the record, wanted one inside it");
		fields.push_back(field);
	}
	return fields;
}

FoldConfig FoldOf(const Napi::Object &fold, uint32_t record_bytes)
{
	FoldConfig config;
	config.record_bytes = record_bytes;
	config.entries = ToU32(fold.Get("entries"), "entries");
	config.max_held_ms = ToU32(fold.Get("maxHeldMs"), "maxHeldMs");
	config.time_offset = ToU32(fold.Get("timeOffset"), "timeOffset");
	config.kind_offset = ToU32(fold.Get("kindOffset"), "kindOffset");
	uint32_t kind = ToU32(fold.Get("kind"), "kind");
	config.kind = static_cast<uint8_t>(kind);
	config.key = FieldsOf(fold, "key", record_bytes);
	config.same = FieldsOf(fold, "same", record_bytes);
	if (config.entries < 1 || config.entries > kMostFoldEntries || config.key.empty() || kind > 255 ||
	    config.kind_offset >= record_bytes || record_bytes % sizeof(uint64_t) != 0 ||
	    config.time_offset > record_bytes - sizeof(uint64_t))
		throw Fault("RF_ARGUMENT",
			    "Cannot fold records: found options out of range, wanted entries 1 to "
			    "16777216, a key, fields inside the record, and recordBytes a multiple of 8");
	return config;
}

} // namespace

Napi::Function Ring::Define(Napi::Env env)
{
	return DefineClass(env, "NativeRing",
			   {
				   Method<&Ring::Release>("release"),
				   Method<&Ring::Counters>("counters"),
				   Method<&Ring::Pause>("pause"),
				   Method<&Ring::Resume>("resume"),
				   Method<&Ring::Flush>("flush"),
				   Method<&Ring::Close>("close"),
			   });
}

Ring::Ring(const Napi::CallbackInfo &info) : ThreadWrap(info)
{
	slots_.resize(worker().lanes());
	for (auto &lane : slots_)
		lane.resize(worker().batches_per_lane());
	delivered_.resize(worker().lanes());
}

Napi::Value Ring::Create(const Napi::CallbackInfo &info)
{
	if (!info[0].IsArray())
		throw Fault("RF_ARGUMENT", "Cannot consume rings: found no list of lanes, wanted an array of arrays");
	RingConfig config;
	auto lanes = info[0].As<Napi::Array>();
	for (uint32_t i = 0; i < lanes.Length(); i++) {
		Napi::Value lane = lanes.Get(i);
		if (!lane.IsArray())
			throw Fault("RF_ARGUMENT",
				    "Cannot consume rings: found a lane that is no list, wanted an array");
		auto list = lane.As<Napi::Array>();
		std::vector<int> descriptors;
		for (uint32_t j = 0; j < list.Length(); j++)
			descriptors.push_back(static_cast<int>(ToU32(list.Get(j), "lanes")));
		config.lanes.push_back(std::move(descriptors));
	}
	config.record_bytes = ArgU32(info, 1, "recordBytes");
	config.batch_records = ArgU32(info, 2, "batchRecords");
	config.batches_per_lane = ArgU32(info, 3, "batchesPerLane");
	config.drain_interval_us = ArgU32(info, 4, "drainIntervalUs");
	config.max_delay_ms = ArgU32(info, 5, "maxDelayMs");
	config.max_idle_ms = ArgU32(info, 6, "maxIdleMs");
	if (config.lanes.empty() || config.record_bytes < 1 || config.record_bytes > kMostRecordBytes ||
	    config.batch_records < 1 || config.batches_per_lane < 2 || config.drain_interval_us < 1 ||
	    config.max_idle_ms < 1 ||
	    static_cast<uint64_t>(config.record_bytes) * config.batch_records > kMostBatchBytes)
		throw Fault("RF_ARGUMENT",
			    "Cannot consume rings: found options out of range, wanted at least one lane, "
			    "recordBytes 1 to 65536, batches up to 64 MiB, batchesPerLane 2 or more, "
			    "drainIntervalUs and maxIdleMs 1 or more");
	if (info[7].IsObject()) {
		auto fold = info[7].As<Napi::Object>();
		config.fold = FoldOf(fold, config.record_bytes);
		config.fold_lane = ToU32(fold.Get("lane"), "lane");
		if (config.fold_lane >= config.lanes.size())
			throw Fault("RF_ARGUMENT", "Cannot fold records: found a lane that there is not, wanted one of "
						   "those consumed");
	}
	if (!info[8].IsFunction())
		throw Fault("RF_ARGUMENT", "Cannot consume rings: found no function for batches, wanted one");
	Napi::Object made = Make(rf::State(info.Env()).ring_class, std::make_unique<RingWorker>(config));
	Unwrap(made)->Start(info.Env(), info[8].As<Napi::Function>());
	return made;
}

void Ring::Start(Napi::Env env, Napi::Function on_batch)
{
	Begin(env, on_batch, "rf-rings", "RF_RING", [this](auto send, auto ended) {
		worker().Start([send](RingBatch batch) { send({batch, 0}); },
			       [send](uint64_t token) { send({{}, token}); }, ended);
	});
}

void Ring::Deliver(Napi::Env env, Napi::Function on_batch, const RingMessage &message)
{
	if (message.token != 0) {
		if (auto found = flushes_.find(message.token); found != flushes_.end()) {
			found->second.Resolve(env.Undefined());
			flushes_.erase(found);
		}
		return;
	}
	const RingBatch &batch = message.batch;
	Slot &slot = slots_[batch.lane][batch.slot];
	Napi::ArrayBuffer buffer = BufferOf(env, slot, batch);
	slot.out = true;
	delivered_[batch.lane] += batch.records;
	on_batch.Call({buffer, Num(env, batch.records), Num(env, batch.lane), Num(env, batch.slot)});
}

void Ring::Undelivered(const RingMessage &message)
{
	if (message.token == 0)
		worker().CountLost(message.batch);
}

Napi::ArrayBuffer Ring::BufferOf(Napi::Env env, Slot &slot, RingBatch batch)
{
	if (!slot.buffer.IsEmpty())
		return slot.buffer.Value();
	auto *hold = new Block(worker().BlockOf(batch.lane, batch.slot));
	auto buffer = Napi::ArrayBuffer::New(
		env, hold->get(), worker().block_bytes(), [](Napi::Env, void *, Block *held) { delete held; }, hold);
	slot.buffer = Napi::Reference<Napi::ArrayBuffer>::New(buffer, 1);
	return buffer;
}

void Ring::Ended(Napi::Env env)
{
	for (auto &[token, deferred] : flushes_)
		deferred.Resolve(env.Undefined());
	flushes_.clear();
	for (auto &lane : slots_)
		for (Slot &slot : lane)
			slot.buffer.Reset();
}

Napi::Value Ring::Release(const Napi::CallbackInfo &info)
{
	uint32_t lane = ArgU32(info, 0, "lane");
	uint32_t slot = ArgU32(info, 1, "slot");
	if (lane >= slots_.size() || slot >= slots_[lane].size())
		throw Fault("RF_ARGUMENT",
			    "Cannot release a batch: found a lane or slot out of range, wanted a delivered one");
	/* A second release would put the slot twice into the free list, and two batches into one buffer. */
	if (slots_[lane][slot].out) {
		slots_[lane][slot].out = false;
		worker().Release(lane, slot);
	}
	return info.Env().Undefined();
}

Napi::Value Ring::Counters(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	auto list = Napi::Array::New(env, slots_.size());
	for (uint32_t lane = 0; lane < slots_.size(); lane++) {
		RingWorker::Counters count = worker().Count(lane);
		auto item = Napi::Object::New(env);
		item.Set("consumed", U64(env, count.consumed));
		item.Set("delivered", U64(env, delivered_[lane]));
		item.Set("dropped", U64(env, count.dropped));
		item.Set("malformed", U64(env, count.malformed));
		item.Set("folded", U64(env, count.folded));
		item.Set("pending", U64(env, count.consumed - delivered_[lane] - count.dropped - count.folded));
		list.Set(lane, item);
	}
	return list;
}

Napi::Value Ring::Pause(const Napi::CallbackInfo &info)
{
	UseRunning();
	worker().SetPaused(true);
	return info.Env().Undefined();
}

Napi::Value Ring::Resume(const Napi::CallbackInfo &info)
{
	UseRunning();
	worker().SetPaused(false);
	return info.Env().Undefined();
}

Napi::Value Ring::Flush(const Napi::CallbackInfo &info)
{
	UseRunning();
	uint64_t token = next_token_++;
	auto deferred = Napi::Promise::Deferred::New(info.Env());
	flushes_.emplace(token, deferred);
	worker().RequestFlush(token);
	return deferred.Promise();
}

} // namespace rf
