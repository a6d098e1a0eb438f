// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

namespace rf
{

/*
 * Runs fn in the network namespace at path, on a thread made for it, and waits: the caller's thread never changes
 * namespace. An empty path runs fn right here. fn must not touch JavaScript. What it throws comes out here. Throws
 * RF_NETNS.
 */
void InNetns(const std::string &path, const std::function<void()> &fn);

/* The same in a new, empty namespace that vanishes afterwards; only lo (index 1, down) is in it. */
void InFreshNetns(const std::function<void()> &fn);

} // namespace rf
