#include "linux/link_news.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace ringtap {

Result<LinkEvents> LinkEvents::open(int index, const std::string& uri) {
  LinkEvents events;
  events.index_ = index;
  events.fd_.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  // SAFETY: bind() takes every address family through sockaddr.
  if (!events.fd_ || bind(events.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return system_error(Code::kSystem, uri + ": cannot hear of changes of the interface", "bind(AF_NETLINK)", errno);
  return events;
}

LinkNews LinkEvents::read() noexcept {
  LinkNews news;
  for (;;) {
    // The beginning of a message; the rest is cut off. The kernel sends one at a time.
    struct {
      nlmsghdr head;
      ifinfomsg link;
    } message{};
    const ssize_t bytes = recv(fd(), &message, sizeof message, 0);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == ENOBUFS) missed_ = true;
    if (bytes < 0 && errno != ENOBUFS) break;
    // WHY the family: bridges tell of their ports, too, and of ports that leave.
    if (bytes < ssize_t{sizeof message} || message.link.ifi_index != index_ || message.link.ifi_family != AF_UNSPEC)
      continue;
    if (message.head.nlmsg_type == RTM_DELLINK) see(LinkState::kGone, news);
    if (message.head.nlmsg_type == RTM_NEWLINK)
      see((message.link.ifi_flags & IFF_UP) != 0 ? LinkState::kUp : LinkState::kDown, news);
  }
  if (std::exchange(missed_, false)) see(link_state(fd(), index_), news);
  return news;
}

void LinkEvents::see(LinkState state, LinkNews& news) noexcept {
  news.gone |= state == LinkState::kGone;
  const bool up = state == LinkState::kUp;
  if (state == LinkState::kDown && up_) news.downs++;
  news.up = up && (news.up || !up_);
  up_ = up;
}

}  // namespace ringtap
