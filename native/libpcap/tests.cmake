ringtap_test(libpcap SOURCES ${CMAKE_SOURCE_DIR}/native/test/libpcap_test.cc LINK ringtap_libpcap ${CMAKE_DL_LIBS})
# Its own process: the library is looked for once.
ringtap_test(libpcap_missing SOURCES ${CMAKE_SOURCE_DIR}/native/test/libpcap_missing_test.cc LINK ringtap_libpcap)
