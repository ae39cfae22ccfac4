# libpcap, tcpdump, tshark, editcap, mergecap and text2pcap are oracles here: without them the tests fail.
ringtap_test(file SOURCES ${CMAKE_SOURCE_DIR}/native/test/file_test.cc LINK ringtap_backend_file pcap)
ringtap_test(many_files SOURCES ${CMAKE_SOURCE_DIR}/native/test/many_files_test.cc LINK ringtap_backend_file ringtap_libpcap pcap)
ringtap_test(follow SOURCES ${CMAKE_SOURCE_DIR}/native/test/follow_test.cc LINK ringtap_backend_file)
