ringtap_test(afpacket SERIAL SOURCES ${CMAKE_SOURCE_DIR}/native/test/afpacket_test.cc
             LINK ringtap_test_traffic ringtap_backend_afpacket Threads::Threads)
