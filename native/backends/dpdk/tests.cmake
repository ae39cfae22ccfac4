# The ring between the threads needs no DPDK.
ringtap_test(dpdk_ring SOURCES ${CMAKE_SOURCE_DIR}/native/test/dpdk_ring_test.cc LINK ringtap_core Threads::Threads)
if(TARGET ringtap_dpdk_parts)
  ringtap_test(dpdk_untrusted SOURCES ${CMAKE_SOURCE_DIR}/native/test/dpdk_untrusted_test.cc LINK ringtap_dpdk_parts)
  ringtap_test(dpdk SERIAL SOURCES ${CMAKE_SOURCE_DIR}/native/test/dpdk_test.cc
               LINK ringtap_dpdk_parts ringtap_libpcap ${CMAKE_DL_LIBS})
endif()
