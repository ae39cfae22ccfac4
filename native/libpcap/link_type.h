// DLT_ values are what a live libpcap handle speaks, LINKTYPE_ values are what files and ringtap speak. They differ for
// a few old link types, and differently on every platform.
#pragma once

namespace ringtap {

int dlt_to_linktype(int dlt) noexcept;
int linktype_to_dlt(int link_type) noexcept;

}  // namespace ringtap
