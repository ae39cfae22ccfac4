ringtap_test(ssh SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/ssh/ssh_test.cc LINK ringtap_protocol)
